import { afterEach, expect, test } from "bun:test";
import { connectScanner, type RunningDaemon, type Scanner, scan, until } from "../support/daemon.ts";
import {
  atEnd,
  cleanUp,
  deliveriesOf,
  firstDelivery,
  linesOf,
  receive,
  register,
  startAgain,
  startBinary,
  untilLogged,
} from "../support/e2e.ts";

afterEach(cleanUp);

const QUICK = ["--retry-min-delay", "100ms", "--retry-factor", "1", "--retry-jitter", "false"];

async function scannerOf(daemon: RunningDaemon): Promise<Scanner> {
  const scanner = await connectScanner(daemon.socket);
  atEnd(() => scanner.close());
  return scanner;
}

const scans = (count: number) => Array.from({ length: count }, () => scan());

async function webhookOf(daemon: RunningDaemon, id: string) {
  return (await daemon.api("GET", `/v1/webhooks/${id}`)).body.webhook;
}

test("a webhook whose delivery runs out of attempts is disabled and its other pending deliveries end failed", async () => {
  const receiver = receive(() => new Response(null, { status: 500 }));
  const daemon = await startBinary({ args: [...QUICK, "--retry-attempts", "4"] });
  const webhook = await register(daemon, receiver.url);
  const scanner = await scannerOf(daemon);
  await scanner.send(...scans(20));
  const [disabled] = await untilLogged(daemon, "webhook disabled");
  expect(disabled).toMatchObject({ webhook_id: webhook.id, reason: "attempts_exhausted" });
  await untilLogged(daemon, "deliveries ended");

  const deliveries = await deliveriesOf(daemon, webhook.id);
  expect(deliveries).toHaveLength(20);
  expect(new Set(deliveries.map(({ status }) => status))).toEqual(new Set(["failed"]));
  expect(deliveries.every(({ next_attempt_at, finished_at }) => !next_attempt_at && finished_at)).toBe(true);
  expect(deliveries.filter(({ last_error }) => last_error === "webhook_disabled").length).toBeGreaterThan(10);
  const given = deliveries.filter(({ attempt_count }) => attempt_count === 4);
  expect(given.length).toBeGreaterThan(0);

  const after = await webhookOf(daemon, webhook.id);
  expect(after).toMatchObject({ enabled: false, failure_count: receiver.received.length });
  expect((await scanner.send(scan()))[0]).toMatchObject({ ok: true, deliveries: 0 });
  const metrics = await fetch(`${daemon.url}/metrics`).then((answer) => answer.text());
  expect(metrics).toMatch(/^armorhooks_webhooks_disabled_total 1$/m);
});

test("one that was disabled gets what comes after it was turned on again", async () => {
  let status = 500;
  const receiver = receive(() => new Response(null, { status }));
  const daemon = await startBinary({ args: [...QUICK, "--retry-attempts", "1"] });
  const webhook = await register(daemon, receiver.url);
  const scanner = await scannerOf(daemon);
  await scanner.send(scan());
  await untilLogged(daemon, "webhook disabled");
  status = 200;
  const { body } = await daemon.api("PATCH", `/v1/webhooks/${webhook.id}`, { enabled: true });
  expect(body.webhook).toMatchObject({ enabled: true, failure_count: 0 });
  const [ack] = await scanner.send(scan());
  await until("the new event has arrived", () => receiver.received.length === 2);
  expect(receiver.received[1]?.headers["webhook-id"]).toBe(ack?.id ?? "");
});

test("a success in between keeps a webhook enabled when one delivery runs out of attempts", async () => {
  const receiver = receive(({ body }) => new Response(null, { status: body.includes("13") ? 500 : 200 }));
  const daemon = await startBinary({ args: [...QUICK, "--retry-attempts", "3"] });
  const webhook = await register(daemon, receiver.url);
  const scanner = await scannerOf(daemon);
  await scanner.send(scan({ risk_score: 13 }));
  await untilLogged(daemon, "attempt made");
  await scanner.send(scan({ risk_score: 1 }));
  await untilLogged(daemon, "delivery finished", 2);
  const statuses = (await deliveriesOf(daemon, webhook.id)).map(({ status }) => status);
  expect(statuses).toEqual(["delivered", "failed"]);
  expect((await webhookOf(daemon, webhook.id)).enabled).toBe(true);
  expect(linesOf(daemon, "webhook disabled")).toHaveLength(0);
});

test("410 fails at once, is not retried, and disables the webhook", async () => {
  const receiver = receive(() => new Response(null, { status: 410 }));
  const daemon = await startBinary({ args: QUICK });
  const webhook = await register(daemon, receiver.url);
  const scanner = await scannerOf(daemon);
  await scanner.send(...scans(5));
  await untilLogged(daemon, "deliveries ended");
  await Bun.sleep(250);
  expect(receiver.received).toHaveLength(1);
  expect(linesOf(daemon, "webhook disabled")).toMatchObject([{ reason: "gone" }]);
  const deliveries = await deliveriesOf(daemon, webhook.id);
  expect(deliveries.map(({ status, attempt_count }) => [status, attempt_count])).toEqual([
    ...Array.from({ length: 4 }, () => ["failed", 0]),
    ["failed", 1],
  ]);
  expect((await webhookOf(daemon, webhook.id)).enabled).toBe(false);
});

/** A webhook with three requests under way, the first of which can be answered apart. */
async function threeUnderWay() {
  const held: ((response: Response) => void)[] = [];
  const receiver = receive(({ body }) =>
    body.includes('"risk_score":1,') ? new Response() : new Promise((resolve) => held.push(resolve)),
  );
  const daemon = await startBinary({ args: QUICK });
  const webhook = await register(daemon, receiver.url);
  const scanner = await scannerOf(daemon);
  // Successes first: they widen the window.
  await scanner.send(...Array.from({ length: 5 }, () => scan({ risk_score: 1 })));
  await untilLogged(daemon, "delivery finished", 5);
  await scanner.send(...scans(3));
  await until("three requests are under way", () => held.length === 3);
  return { daemon, webhook, receiver, held };
}

const answered = (status: number) => new Response(null, { status });

test("what was under way when its webhook was disabled ends failed too, or delivered", async () => {
  const { daemon, webhook, held, receiver } = await threeUnderWay();
  held[0]?.(answered(410));
  await untilLogged(daemon, "deliveries ended");
  held[1]?.(answered(500));
  held[2]?.(answered(200));
  await untilLogged(daemon, "attempt made", 8);
  await Bun.sleep(250);
  const latest = (await deliveriesOf(daemon, webhook.id)).slice(0, 3);
  expect(latest.map(({ status }) => status).toSorted()).toEqual(["delivered", "failed", "failed"]);
  expect(latest.every(({ next_attempt_at, finished_at }) => !next_attempt_at && finished_at)).toBe(true);
  expect(receiver.received).toHaveLength(8);
});

test("deleting a webhook ends its pending deliveries, the one under way included", async () => {
  const { daemon, webhook, held, receiver } = await threeUnderWay();
  const { body } = await daemon.api("DELETE", `/v1/webhooks/${webhook.id}`);
  expect(body).toEqual({ deleted: true });
  for (const answer of held) answer(answered(500));
  await untilLogged(daemon, "attempt made", 8);
  await Bun.sleep(250);
  expect(receiver.received).toHaveLength(8);
  expect((await daemon.api("GET", `/v1/webhooks/${webhook.id}`)).status).toBe(404);
  const metrics = await fetch(`${daemon.url}/metrics`).then((answer) => answer.text());
  expect(metrics).toMatch(/^armorhooks_pending_deliveries 0$/m);

  await daemon.stop();
  const after = await startAgain(daemon);
  await Bun.sleep(250);
  expect(linesOf(after, "attempt made")).toHaveLength(0);
});

test("Retry-After on 503 and 429 postpones the next attempt, on 500 it does not", async () => {
  const statuses = [503, 429, 500, 200];
  const receiver = receive(
    () =>
      new Response(null, {
        status: statuses[receiver.received.length - 1] ?? 200,
        headers: { "retry-after": "1" },
      }),
  );
  const daemon = await startBinary({ args: QUICK });
  await register(daemon, receiver.url);
  await (await scannerOf(daemon)).send(scan());
  await untilLogged(daemon, "delivery finished");
  const at = receiver.received.map((request) => request.at);
  const pauses = at.slice(1).map((time, i) => time - (at[i] as number));
  expect(pauses[0]).toBeWithin(995, 1_900);
  expect(pauses[1]).toBeWithin(995, 1_900);
  expect(pauses[2]).toBeWithin(95, 900);
});

test("Retry-After is bounded by the longest delay, and one in the table holds over a restart", async () => {
  const receiver = receive(
    () =>
      new Response(null, {
        status: receiver.received.length === 1 ? 503 : 200,
        headers: { "retry-after": "86400" },
      }),
  );
  const args = [...QUICK, "--retry-max-delay", "1500ms"];
  const daemon = await startBinary({ args });
  await register(daemon, receiver.url);
  await (await scannerOf(daemon)).send(scan());
  await untilLogged(daemon, "attempt made");
  await daemon.stop("SIGKILL");
  const after = await startAgain(daemon, { args });
  await untilLogged(after, "delivery finished");
  const [first, second] = receiver.received.map(({ at }) => at) as [number, number];
  expect(second - first).toBeWithin(1_495, 3_000);
});

test("a changed URL applies to the next attempt of what is already pending", async () => {
  const before = receive(() => answered(500));
  const after = receive();
  const daemon = await startBinary({ args: ["--retry-min-delay", "600ms", "--retry-jitter", "false"] });
  const webhook = await register(daemon, before.url);
  await (await scannerOf(daemon)).send(scan());
  await untilLogged(daemon, "attempt made");
  const { status } = await daemon.api("PUT", `/v1/webhooks/${webhook.id}`, { url: after.url });
  expect(status).toBe(200);
  await untilLogged(daemon, "delivery finished");
  expect([before.received.length, after.received.length]).toEqual([1, 1]);
  expect(await firstDelivery(daemon, webhook.id)).toMatchObject({
    status: "delivered",
    attempts: [{ number: 1 }, { number: 2 }],
  });
});

test("what its owner has switched off waits, and goes out when it is switched on", async () => {
  const receiver = receive(() => answered(receiver.received.length === 1 ? 500 : 200));
  const daemon = await startBinary({ args: QUICK });
  const webhook = await register(daemon, receiver.url);
  const path = `/v1/webhooks/${webhook.id}`;
  await (await scannerOf(daemon)).send(scan());
  await untilLogged(daemon, "attempt made");
  await daemon.api("PATCH", path, { enabled: false });
  const made = receiver.received.length;
  await Bun.sleep(400);
  expect(receiver.received).toHaveLength(made);
  await daemon.api("PATCH", path, { enabled: true });
  await untilLogged(daemon, "delivery finished");
  expect(await firstDelivery(daemon, webhook.id)).toMatchObject({ status: "delivered", attempt_count: 2 });
});
