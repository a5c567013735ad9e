import { afterEach, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import { addOrganization, addWebhook, closeWhole, openTestStore, seed } from "./store/seed.ts";
import {
  connectScanner,
  LOOPBACK,
  newDir,
  type RunningDaemon,
  removeDir,
  scan,
  startDaemon,
  until,
} from "./support/daemon.ts";
import { type Receiver, startReceiver } from "./support/receiver.ts";

const COUNT = 100_000;

let dir: string;
let receiver: Receiver;
beforeEach(async () => {
  dir = newDir();
  receiver = startReceiver();
});
afterEach(async () => {
  await receiver.stop();
  removeDir(dir);
});

async function metric(daemon: RunningDaemon, name: string): Promise<number> {
  const text = await (await fetch(`${daemon.url}/metrics`)).text();
  return Number(
    text
      .split("\n")
      .find((line) => line.startsWith(`armorhooks_${name} `))
      ?.split(" ")
      .at(-1),
  );
}

function since(hours: number): string {
  return new Date(Date.now() - hours * 3_600_000).toISOString();
}

test("events that came while a webhook was disabled are sent by a recovery, once", async () => {
  const daemon = await startDaemon({ dir, args: LOOPBACK });
  const { id } = (await daemon.api("POST", "/v1/webhooks", { url: receiver.url })).body.webhook;
  const scanner = await connectScanner(daemon.socket);
  const [reached] = await scanner.send(scan());
  await until("it reached the webhook", () => receiver.received.length === 1);
  await daemon.api("PATCH", `/v1/webhooks/${id}`, { enabled: false });
  const missed = await scanner.send(scan(), scan(), scan({ tier: "green" }));
  expect(missed.map(({ deliveries }) => deliveries)).toEqual([0, 0, 0]);
  await daemon.api("PATCH", `/v1/webhooks/${id}`, { enabled: true });

  const answer = await daemon.api("POST", `/v1/webhooks/${id}/recover`, { since: since(1) });
  expect(answer).toMatchObject({ status: 202, body: { recovered: 2 } });
  await until("both came", () => receiver.received.length === 3);
  const ids = receiver.received.map(({ headers }) => headers["webhook-id"]);
  expect(ids.toSorted()).toEqual([reached?.id, missed[0]?.id, missed[1]?.id].toSorted());
  const again = await daemon.api("POST", `/v1/webhooks/${id}/recover`, { since: since(1) });
  expect(again.body).toEqual({ recovered: 0 });
  const future = await daemon.api("POST", `/v1/webhooks/${id}/recover`, { since: since(-1) });
  expect([future.status, future.body.error.message]).toEqual([400, "since must not be in the future"]);

  const { deliveries } = (await daemon.api("GET", `/v1/webhooks/${id}/deliveries`)).body;
  await daemon.api("DELETE", `/v1/webhooks/${id}`);
  const retried = await daemon.api("POST", `/v1/deliveries/${deliveries[0].id}/retry`);
  expect([retried.status, retried.body.error.code]).toEqual([409, "CONFLICT"]);
  expect(retried.body.error.message).toContain("was deleted; register it again");
  scanner.close();
  await daemon.stop();
});

test("a recovery of 100,000 holds up neither API nor socket, survives a kill, and reaches all", async () => {
  const store = openTestStore(join(dir, "data"));
  const organizationId = await addOrganization(store);
  const webhook = await addWebhook(store, organizationId);
  const { rawKey } = await store.apiKeys.create({
    organizationId,
    name: "test",
    rateLimitPerMinute: 100_000,
    expiresAt: null,
  });
  const at = Date.now() - 3_600_000;
  seed(store, { webhookId: webhook.id, organizationId, count: COUNT, at, status: "failed" });
  store.database.sqlite.query("UPDATE webhooks SET url = ?").run(receiver.url);
  await closeWhole(store);

  const options = { dir, key: rawKey, args: [...LOOPBACK, "--log-level", "error"] };
  const path = `/v1/webhooks/${webhook.uuid}/recover`;
  const first = await startDaemon({ ...options, args: [...options.args, "--paused"] });
  const cut = first.api("POST", path, { since: since(2) }).catch(() => null);
  await until("some are recovered", async () => (await metric(first, "pending_deliveries")) > 5_000);
  await first.stop("SIGKILL");
  expect(await cut).toBeNull();

  const daemon = await startDaemon(options);
  const kept = await metric(daemon, "pending_deliveries");
  const scanner = await connectScanner(daemon.socket);
  const waits: number[] = [];
  let isDone = false;
  const probe = (async () => {
    while (!isDone) {
      const started = performance.now();
      const health = await fetch(`${daemon.url}/health`);
      expect(health.status).toBe(200);
      waits.push(performance.now() - started);
      const sent = performance.now();
      expect((await scanner.send(scan()))[0]?.ok).toBe(true);
      waits.push(performance.now() - sent);
      await Bun.sleep(5);
    }
  })();
  const { status, body } = await daemon.api("POST", path, { since: since(2) });
  isDone = true;
  await probe;
  expect(status).toBe(202);
  // What was pending before the kill is pending still or delivered by now, and is not counted again.
  expect(body.recovered).toBeLessThanOrEqual(COUNT - 5_000);
  expect(body.recovered).toBeGreaterThan(0);
  expect(kept).toBeGreaterThan(0);
  expect(waits.length).toBeGreaterThan(20);
  expect(waits.toSorted((a, b) => a - b)[waits.length >> 1]).toBeLessThan(60);
  expect(Math.max(...waits)).toBeLessThan(1_000);

  const events = COUNT + waits.length / 2;
  await until("all are delivered", async () => (await metric(daemon, "pending_deliveries")) === 0, 40_000);
  expect(new Set(receiver.received.map(({ headers }) => headers["webhook-id"])).size).toBe(events);
  scanner.close();
  await daemon.stop();
}, 60_000);
