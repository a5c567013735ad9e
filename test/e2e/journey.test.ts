import { Database } from "bun:sqlite";
import { afterEach, expect, test } from "bun:test";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { connectScanner, type RunningDaemon, scan, until } from "../support/daemon.ts";
import {
  atEnd,
  cleanUp,
  commandJson,
  emptyDir,
  firstDelivery,
  linesOf,
  receive,
  register,
  startAgain,
  startBinary,
  untilLogged,
  verify,
} from "../support/e2e.ts";
import type { Received } from "../support/receiver.ts";

afterEach(cleanUp);

const NO_JITTER = ["--retry-jitter", "false"];
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

async function sendOne(daemon: RunningDaemon, fields: Record<string, unknown> = {}) {
  const scanner = await connectScanner(daemon.socket);
  const [ack] = await scanner.send(scan(fields));
  scanner.close();
  return ack;
}

test("from an empty directory: organization, key, webhook, event, a signature that verifies", async () => {
  const dir = emptyDir();
  const { organization } = await commandJson(dir, "org", "create", "--name", "acme");
  expect(organization).toEqual({
    id: expect.stringMatching(UUID),
    name: "acme",
    plan: "professional",
    created_at: expect.stringMatching(/Z$/),
  });
  const { key, raw_key } = await commandJson(dir, "key", "create", "--org", organization.id, "--name", "ci");
  expect(raw_key).toMatch(/^ia_sk_[0-9a-f]{48}$/);
  expect(key).toEqual({
    id: expect.stringMatching(UUID),
    organization_id: organization.id,
    name: "ci",
    key_prefix: raw_key.slice(0, 12),
    rate_limit_per_minute: 60,
    enabled: true,
    last_used_at: null,
    created_at: expect.stringMatching(/Z$/),
    expires_at: null,
  });

  const daemon = await startBinary({ dir, key: raw_key });
  const receiver = receive();
  const created = await daemon.api("POST", "/v1/webhooks", { url: receiver.url });
  expect(created.status).toBe(201);
  const { webhook } = created.body;
  expect(webhook.secret).toMatch(/^[0-9a-f]{64}$/);

  const ack = await sendOne(daemon, { organization_id: organization.id, prompt: "never stored" });
  expect(ack).toEqual({ ok: true, id: expect.any(String), deliveries: 1 });
  await until("the event has arrived", () => receiver.received.length === 1);
  const request = receiver.received[0] as Received;
  expect(request.body).toBe(
    '{"event":"red_tier","tier":"red","action":"block","risk_score":85,"signals":[{"domain":"pii","type":"ssn","confidence":0.98,"weight":50}],"latency_ms":8,"timestamp":"2026-01-15T10:00:00.000Z"}',
  );
  expect(request.headers["webhook-id"]).toBe(ack?.id ?? "");
  expect(request.headers["content-type"]).toBe("application/json");
  expect(request.headers["user-agent"]).toMatch(/^armorhooks\/\d/);
  expect(verify(webhook, request)).toEqual(JSON.parse(request.body));
  expect(() => verify(webhook, { ...request, body: request.body.replace("85", "86") })).toThrow();
  expect(() => verify({ id: "", secret: "0".repeat(64) }, request)).toThrow();
});

test("what it keeps is readable by its user only", async () => {
  const daemon = await startBinary();
  await register(daemon, receive().url);
  expect(statSync(daemon.dataDir).mode & 0o777).toBe(0o700);
  for (const name of readdirSync(daemon.dataDir)) {
    const stats = statSync(join(daemon.dataDir, name));
    expect([name, (stats.mode & 0o777).toString(8)]).toEqual([name, stats.isSocket() ? "660" : "600"]);
  }
});

test("an event whose receiver answers 500 is sent again, with the same id and a new signature", async () => {
  const daemon = await startBinary({ args: ["--retry-min-delay", "1100ms", ...NO_JITTER] });
  const receiver = receive(() => new Response("no", { status: receiver.received.length < 2 ? 500 : 204 }));
  const webhook = await register(daemon, receiver.url);
  await sendOne(daemon);
  await untilLogged(daemon, "delivery finished");
  const [first, second] = receiver.received;
  expect(second?.headers["webhook-id"]).toBe(first?.headers["webhook-id"] ?? "");
  expect(second?.body).toBe(first?.body ?? "");
  expect(second?.headers["webhook-timestamp"]).not.toBe(first?.headers["webhook-timestamp"]);
  for (const request of receiver.received) verify(webhook, request);
  expect(await firstDelivery(daemon, webhook.id)).toMatchObject({
    status: "delivered",
    attempt_count: 2,
    last_status: 204,
    attempts: [
      { number: 1, status: 500, error: "http_status", response_excerpt: "no" },
      { number: 2, status: 204, error: null },
    ],
  });
});

test("a short delay that a kill cuts off is waited out after the restart, and the backoff goes on", async () => {
  const args = ["--retry-min-delay", "400ms", "--retry-factor", "3", ...NO_JITTER];
  const receiver = receive(() => new Response(null, { status: receiver.received.length < 3 ? 500 : 200 }));
  const before = await startBinary({ args });
  const webhook = await register(before, receiver.url);
  await sendOne(before);
  await untilLogged(before, "attempt made");
  await before.stop("SIGKILL");
  expect(receiver.received).toHaveLength(1);

  const after = await startAgain(before, { args });
  await untilLogged(after, "delivery finished");
  const [first, second, third] = receiver.received.map(({ at }) => at) as [number, number, number];
  expect(second - first).toBeGreaterThan(395);
  expect(third - second).toBeGreaterThan(1195);
  expect(linesOf(after, "attempt made").map(({ attempt }) => attempt)).toEqual([2, 3]);
  const { attempts } = await firstDelivery(after, webhook.id);
  expect(attempts.map(({ status }: { status: number }) => status)).toEqual([500, 500, 200]);
});

/** As if the machine had been off for so long. */
function letTimePass(dataDir: string, milliseconds: number): void {
  const sqlite = new Database(join(dataDir, "armorhooks.db"));
  sqlite.query("UPDATE deliveries SET next_attempt_at = next_attempt_at - ?").run(milliseconds);
  sqlite.close();
}

test("a long delay is kept in the table over restarts, and the backoff goes on where it was", async () => {
  const args = ["--retry-min-delay", "1h", "--retry-factor", "3", ...NO_JITTER];
  const receiver = receive(() => new Response(null, { status: receiver.received.length < 3 ? 500 : 200 }));
  const first = await startBinary({ args });
  const webhook = await register(first, receiver.url);
  await sendOne(first);
  await untilLogged(first, "attempt made");
  expect(await first.stop()).toBe(0);
  letTimePass(first.dataDir, 3_590_000);

  const early = await startAgain(first, { args });
  const waiting = await firstDelivery(early, webhook.id);
  expect(waiting).toMatchObject({ status: "pending", attempt_count: 1 });
  expect(Date.parse(waiting.next_attempt_at) - Date.now()).toBeWithin(5_000, 10_001);
  expect(receiver.received).toHaveLength(1);
  await early.stop();
  letTimePass(first.dataDir, 10_000);

  const due = await startAgain(first, { args });
  await untilLogged(due, "attempt made");
  const again = await firstDelivery(due, webhook.id);
  expect(again).toMatchObject({ status: "pending", attempt_count: 2 });
  expect(Date.parse(again.next_attempt_at) - Date.now()).toBeWithin(3 * 3_600_000 - 5_000, 3 * 3_600_000 + 1);
  await due.stop();
  letTimePass(first.dataDir, 3 * 3_600_000);

  const last = await startAgain(first, { args });
  await untilLogged(last, "delivery finished");
  expect(await firstDelivery(last, webhook.id)).toMatchObject({ status: "delivered", attempt_count: 3 });
});

test("SIGTERM waits for the answer that is under way, records it, begins nothing and exits 0", async () => {
  const receiver = receive(async () => {
    await Bun.sleep(1_000);
    return new Response("late but well");
  });
  const daemon = await startBinary();
  const webhook = await register(daemon, receiver.url);
  const scanner = await connectScanner(daemon.socket);
  atEnd(() => scanner.close());
  // A webhook that is new gets one request at a time: the second event is still waiting at the SIGTERM.
  await scanner.send(scan(), scan());
  await until("the request is under way", () => receiver.received.length === 1);
  const began = performance.now();
  expect(await daemon.stop()).toBe(0);
  expect(performance.now() - began).toBeWithin(500, 3_000);
  expect(receiver.received).toHaveLength(1);

  const after = await startAgain(daemon);
  await untilLogged(after, "delivery finished");
  expect(receiver.received).toHaveLength(2);
  const { status, attempts } = await firstDelivery(after, webhook.id);
  expect(status).toBe("delivered");
  expect(attempts).toMatchObject([{ number: 1, status: 200, response_excerpt: "late but well" }]);
});

test("an answer that does not come in the shutdown timeout is not waited for; the next daemon tries again", async () => {
  const receiver = receive(() =>
    receiver.received.length === 1 ? new Promise<Response>(() => {}) : new Response(),
  );
  const daemon = await startBinary({ args: ["--shutdown-timeout", "300ms"] });
  const webhook = await register(daemon, receiver.url);
  await sendOne(daemon);
  await until("the request is under way", () => receiver.received.length === 1);
  const began = performance.now();
  expect(await daemon.stop()).toBe(0);
  expect(performance.now() - began).toBeWithin(295, 2_000);
  expect(daemon.log.map(({ msg }) => msg).join()).toMatch(/stopped before everything in flight had ended/);

  const after = await startAgain(daemon);
  await untilLogged(after, "delivery finished");
  expect(await firstDelivery(after, webhook.id)).toMatchObject({ status: "delivered", attempt_count: 1 });
});

test("while it drains, health says so and the socket takes no more", async () => {
  const receiver = receive(async () => {
    await Bun.sleep(700);
    return new Response();
  });
  const daemon = await startBinary();
  await register(daemon, receiver.url);
  await sendOne(daemon);
  await until("the request is under way", () => receiver.received.length === 1);
  const ended = daemon.stop();
  await untilLogged(daemon, "stopping");
  expect((await daemon.api("GET", "/health")).status).toBe(503);
  await expect(connectScanner(daemon.socket)).rejects.toThrow();
  expect(await ended).toBe(0);
});
