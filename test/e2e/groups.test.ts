import { afterEach, expect, test } from "bun:test";
import { connectScanner, scan, until } from "../support/daemon.ts";
import { cleanUp, deliveriesOf, receive, startAgain, startBinary } from "../support/e2e.ts";

afterEach(cleanUp);

const events = (body: string): number => Number(/^(\d+) events/.exec(JSON.parse(body).text)?.[1] ?? 1);

test("killed while a message about many is under way, the daemon repeats at most that message", async () => {
  const held: ((answer: Response) => void)[] = [];
  let isHeld = false;
  const receiver = receive(() =>
    isHeld ? new Promise((resolve) => held.push(resolve)) : new Response("ok"),
  );
  const daemon = await startBinary();
  const created = await daemon.api("POST", "/v1/webhooks", { url: receiver.url, format: "slack" });
  expect(created.status).toBe(201);
  const scanner = await connectScanner(daemon.socket);
  await scanner.send(scan());
  await until("the first has arrived", () => receiver.received.length === 1);
  isHeld = true;
  await scanner.send(...Array.from({ length: 40 }, () => scan()));
  await until("the message about many is under way", () => receiver.received.length === 2);
  await daemon.stop("SIGKILL");
  scanner.close();
  isHeld = false;
  for (const answer of held) answer(new Response("ok"));

  const after = await startAgain(daemon);
  await until("all are delivered", async () => {
    const metrics = await (await fetch(`${after.url}/metrics`)).text();
    return metrics.includes("\narmorhooks_pending_deliveries 0\n");
  });
  expect(receiver.received.map(({ body }) => events(body))).toEqual([1, 40, 40]);
  expect(receiver.received[2]?.headers["webhook-id"]).toBe(receiver.received[1]?.headers["webhook-id"] ?? "");
  const deliveries = await deliveriesOf(after, created.body.webhook.id);
  expect(new Set(deliveries.map(({ status }) => status))).toEqual(new Set(["delivered"]));
}, 20_000);
