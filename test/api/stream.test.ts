import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import {
  connectScanner,
  LOOPBACK,
  type RunningDaemon,
  removeDir,
  runCommand,
  type Scanner,
  scan,
  startDaemon,
  until,
} from "../support/daemon.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { newKey, newTenant, type Tenant } from "../support/tenants.ts";

let daemon: RunningDaemon;
let tenant: Tenant;
let scanner: Scanner;
let receiver: Receiver;
const controllers: AbortController[] = [];

beforeAll(async () => {
  receiver = startReceiver();
  daemon = await startDaemon({ args: LOOPBACK });
  tenant = await newKey(daemon, daemon.organizationId);
  scanner = await connectScanner(daemon.socket);
});
afterEach(() => {
  for (const controller of controllers.splice(0)) controller.abort();
});
afterAll(async () => {
  scanner.close();
  await daemon.stop();
  await receiver.stop();
  removeDir(daemon.dir);
});

interface Told {
  name: string;
  data: Record<string, unknown>;
}

/** Follows a stream and keeps what it tells. */
async function follow(key: string) {
  const controller = new AbortController();
  controllers.push(controller);
  const answer = await fetch(`${daemon.url}/v1/stream`, {
    headers: { authorization: `Bearer ${key}` },
    signal: controller.signal,
  });
  const seen = { answer, told: [] as Told[], ended: false };
  (async () => {
    let rest = "";
    for await (const bytes of answer.body as unknown as AsyncIterable<Uint8Array>) {
      const parts = (rest + new TextDecoder().decode(bytes)).split("\n\n");
      rest = parts.pop() ?? "";
      for (const part of parts) {
        const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(part) ?? [];
        if (name && data) seen.told.push({ name, data: JSON.parse(data) });
      }
    }
    seen.ended = true;
  })().catch(() => {});
  return seen;
}

test("tells of an event, its attempt, its delivery and of webhooks, each with its ids", async () => {
  const seen = await follow(tenant.key);
  expect(seen.answer.status).toBe(200);
  expect(seen.answer.headers.get("content-type")).toStartWith("text/event-stream");
  expect(seen.answer.headers.get("cache-control")).toBe("no-store");
  const made = await tenant.api("POST", "/v1/webhooks", { url: receiver.url, name: "mine" });
  const { id } = made.body.webhook;
  const [ack] = await scanner.send(scan({ id: "scan-1" }));
  await until("it is delivered", () => seen.told.some(({ name }) => name === "delivery"));
  await tenant.api("PATCH", `/v1/webhooks/${id}`, { name: null });
  await tenant.api("DELETE", `/v1/webhooks/${id}`);
  await until("all is told", () => seen.told.length === 6);
  const [page] = (await tenant.api("GET", `/v1/events/${ack?.id}`)).body.deliveries;
  const ids = { event_id: ack?.id, webhook_id: id };
  expect(seen.told).toEqual([
    { name: "webhook", data: { id, name: "mine", change: "created" } },
    { name: "event", data: { id: ack?.id, external_id: "scan-1", event: "red_tier", deliveries: 1 } },
    {
      name: "attempt",
      data: {
        delivery_id: page.id,
        ...ids,
        number: 1,
        status: 200,
        error: null,
        detail: null,
        duration_ms: expect.any(Number),
      },
    },
    { name: "delivery", data: { id: page.id, ...ids, status: "delivered", attempt_count: 1 } },
    { name: "webhook", data: { id, change: "updated" } },
    { name: "webhook", data: { id, change: "deleted" } },
  ]);
});

test("tells nobody of another organization's", async () => {
  const other = await newTenant(daemon, "other");
  const seen = await follow(other.key);
  await scanner.send(scan({ organization_id: daemon.organizationId }));
  await scanner.send(scan({ organization_id: other.organizationId, id: "own" }));
  await until("it is told of its own", () => seen.told.length === 1);
  expect(seen.told[0]?.data).toMatchObject({ external_id: "own" });
});

test("is refused without a key that holds, and ends within a second or two when it is revoked", async () => {
  expect((await fetch(`${daemon.url}/v1/stream`)).status).toBe(401);
  const key = await newKey(daemon, daemon.organizationId);
  const seen = await follow(key.key);
  expect(seen.ended).toBe(false);
  await runCommand(["key", "revoke", key.keyId, "--data-dir", daemon.dataDir]);
  await until("it has ended", () => seen.ended, 3_000);
});

test("HEAD has its status and fields, and opens nothing", async () => {
  const headers = { authorization: `Bearer ${tenant.key}` };
  const answer = await fetch(`${daemon.url}/v1/stream`, { method: "HEAD", headers });
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toStartWith("text/event-stream");
});

test("ends when the daemon stops, and does not hold that up", async () => {
  const own = await startDaemon({ args: LOOPBACK });
  const answer = await fetch(`${own.url}/v1/stream`, { headers: { authorization: `Bearer ${own.key}` } });
  const text = answer.text();
  const started = performance.now();
  expect(await own.stop()).toBe(0);
  expect(performance.now() - started).toBeLessThan(3_000);
  expect(await text).toStartWith(":");
  removeDir(own.dir);
});
