import { afterEach, expect, test } from "bun:test";
import { connectScanner, LOOPBACK, scan, startDaemon, until } from "../support/daemon.ts";
import { atEnd, cleanUp, deliveriesOf, emptyDir, linesOf } from "../support/e2e.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";

afterEach(cleanUp);

async function start(webhook: Record<string, unknown>, answer?: Receiver["answer"], args: string[] = []) {
  const receiver = startReceiver(answer);
  atEnd(() => receiver.stop());
  const daemon = await startDaemon({ dir: emptyDir(), args: [...LOOPBACK, ...args] });
  atEnd(() => daemon.stop("SIGKILL"));
  const { status, body } = await daemon.api("POST", "/v1/webhooks", { url: receiver.url, ...webhook });
  expect(status).toBe(201);
  const scanner = await connectScanner(daemon.socket);
  atEnd(() => scanner.close());
  return { receiver, daemon, scanner, id: body.webhook.id as string };
}

const scans = (count: number) => Array.from({ length: count }, () => scan());
const pauses = ({ received }: Receiver) =>
  received.slice(1).map(({ at }, i) => at - (received[i] as { at: number }).at);

test("a storm for a chat service is few messages, each at its pace, and every delivery ends with its message", async () => {
  const { receiver, daemon, scanner, id } = await start({ format: "slack" });
  await scanner.send(scan());
  await until("the first has arrived", () => receiver.received.length === 1);
  const acks = await scanner.send(...scans(60));
  await until("all are delivered", () => linesOf(daemon, "delivery finished").length === 61);
  expect(receiver.received).toHaveLength(2);
  expect(pauses(receiver)[0]).toBeWithin(985, 2_500);
  const [single, group] = receiver.received as [Receiver["received"][0], Receiver["received"][0]];
  expect(JSON.parse(single.body).text).not.toContain("60 events");
  expect(JSON.parse(group.body).text).toContain("60 events");
  expect(group.headers["webhook-id"]).toBe(acks[0]?.id);
  const deliveries = await deliveriesOf(daemon, id);
  expect(
    deliveries.filter(({ status, attempt_count }) => status === "delivered" && attempt_count === 1).length,
  ).toBe(deliveries.length);
  expect(linesOf(daemon, "attempt made")).toHaveLength(61);
});

test("a group that fails is made up anew from what is ready at its retry", async () => {
  let isDown = true;
  const { receiver, daemon, scanner } = await start(
    { format: "slack" },
    () => new Response(null, { status: isDown ? 500 : 200 }),
    ["--retry-min-delay", "300ms", "--retry-factor", "1", "--retry-jitter", "false"],
  );
  await scanner.send(...scans(5));
  await until("it has failed", () => receiver.received.length === 1);
  isDown = false;
  await scanner.send(...scans(3));
  await until("all are delivered", () => linesOf(daemon, "delivery finished").length === 8);
  expect(receiver.received).toHaveLength(2);
  expect(JSON.parse(receiver.received[1]?.body ?? "").text).toContain("8 events");
});

test("a group that the service refuses goes event by event, so that only what is wrong is lost", async () => {
  const { receiver, daemon, scanner } = await start(
    { format: "discord" },
    ({ body }) =>
      new Response(null, { status: body.includes("13 ms") || body.includes("events within") ? 400 : 200 }),
    ["--retry-min-delay", "100ms", "--retry-factor", "1", "--retry-jitter", "false"],
  );
  await scanner.send(...scans(4));
  await until("the burst is used", () => receiver.received.length === 4);
  await scanner.send(scan({ latency_ms: 13 }), ...scans(2));
  await until("all are finished", () => linesOf(daemon, "delivery finished").length === 7, 20_000);
  const failed = linesOf(daemon, "delivery finished").filter(({ status }) => status === "failed");
  expect(failed).toHaveLength(1);
}, 30_000);

test("a format's pace is kept to: two a second for teams, one message each where nothing waits", async () => {
  const { receiver, scanner } = await start({ format: "teams" });
  for (let i = 0; i < 3; i += 1) {
    await scanner.send(scan());
    await until("it has arrived", () => receiver.received.length === i + 1, 3_000);
  }
  for (const pause of pauses(receiver)) expect(pause).toBeWithin(490, 900);
});
