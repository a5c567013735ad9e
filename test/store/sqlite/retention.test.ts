import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { statSync } from "node:fs";
import { join } from "node:path";
import { idAt } from "../../../src/ids.ts";
import type { PruneStep } from "../../../src/store/retention.ts";
import type { SqliteStore } from "../../../src/store/sqlite/store.ts";
import {
  connectScanner,
  LOOPBACK,
  newDir,
  type RunningDaemon,
  removeDir,
  scan,
  startDaemon,
  until,
} from "../../support/daemon.ts";
import { startReceiver } from "../../support/receiver.ts";
import { addOrganization, addWebhook, closeWhole, openTestStore, seed } from "../seed.ts";

const DAY = 86_400_000;
const NOW = Date.now();
const LIMITS = { createdBefore: NOW - 30 * DAY, finishedBefore: NOW - 30 * DAY };

let dir: string;
let dataDir: string;
let store: SqliteStore;
let organizationId: number;
let webhookId: number;

beforeEach(async () => {
  dir = newDir();
  dataDir = join(dir, "data");
  store = openTestStore(dataDir);
  organizationId = await addOrganization(store);
  webhookId = (await addWebhook(store, organizationId)).id;
});
afterEach(async () => {
  await store.close();
  removeDir(dir);
});

function rows(table: string): number {
  return store.database.sqlite.query<{ n: number }, []>(`SELECT count(*) AS n FROM ${table}`).get()?.n ?? 0;
}

/** Gives every delivery an attempt before the one in its own row. */
function addEarlierAttempts(): void {
  store.database.sqlite.exec(
    "INSERT INTO attempts SELECT id, 0, created_at, 5, 500, 'http_status', NULL, NULL FROM deliveries",
  );
}

/** One round to its end; the sum of its steps. */
async function round(limits = LIMITS): Promise<Omit<PruneStep, "done"> & { steps: number }> {
  const sum = { deliveries: 0, attempts: 0, events: 0, steps: 0 };
  const { step } = await store.retention.beginRound(limits);
  for (let done = false; !done; sum.steps += 1) {
    const next = await step();
    sum.deliveries += next.deliveries;
    sum.attempts += next.attempts;
    sum.events += next.events;
    done = next.done;
  }
  return sum;
}

describe("a round of pruning", () => {
  test("removes what finished before the limit, with its attempts and events, and nothing else", async () => {
    const old = { webhookId, organizationId, count: 1_000, at: NOW - 40 * DAY };
    seed(store, { ...old, status: "delivered" });
    seed(store, { ...old, at: NOW - 39 * DAY, status: "failed" });
    seed(store, { ...old, at: NOW - DAY, status: "delivered" });
    addEarlierAttempts();
    expect(await round()).toMatchObject({ deliveries: 2_000, attempts: 4_000, events: 2_000 });
    expect([rows("events"), rows("deliveries"), rows("attempts")]).toEqual([1_000, 1_000, 1_000]);
    expect(store.database.sqlite.query("PRAGMA foreign_key_check").all()).toEqual([]);
    expect(await round()).toMatchObject({ deliveries: 0, attempts: 0, events: 0 });
  });

  test("never removes pending work, however old, nor the event that it needs", async () => {
    seed(store, { webhookId, organizationId, count: 5_000, at: NOW - 400 * DAY, status: "pending" });
    seed(store, { webhookId, organizationId, count: 10, at: NOW - 300 * DAY, status: "delivered" });
    expect(await round()).toMatchObject({ deliveries: 10, events: 10 });
    expect([rows("events"), rows("deliveries")]).toEqual([5_000, 5_000]);
  });

  test("passes over many pending rows in few steps", async () => {
    seed(store, { webhookId, organizationId, count: 100_000, at: NOW - 400 * DAY, status: "pending" });
    expect((await round()).steps).toBeLessThan(100);
  });

  const uuidOf = (id: number): string =>
    store.database.sqlite.query<{ uuid: string }, [number]>("SELECT uuid FROM webhooks WHERE id = ?").get(id)
      ?.uuid ?? "";

  test("removes a deleted webhook once its last delivery is gone, and no other", async () => {
    const { id, uuid } = await addWebhook(store, organizationId);
    seed(store, { webhookId: id, organizationId, count: 1, at: NOW - DAY, status: "failed" });
    await store.webhooks.remove(organizationId, uuid);
    await round();
    expect(uuidOf(id)).toBe(uuid);
    await round({ createdBefore: NOW, finishedBefore: NOW });
    expect(uuidOf(id)).toBe("");
    expect(uuidOf(webhookId)).not.toBe("");
    const { sqlite } = store.database;
    expect(sqlite.query("PRAGMA foreign_keys").get()).toEqual({ foreign_keys: 1 });
    expect(sqlite.query("SELECT * FROM webhook_log WHERE webhook_id = ?").all(id)).toEqual([]);
  });

  test("gives the space back to the file system", async () => {
    const size = () => statSync(join(dataDir, "armorhooks.db")).size;
    seed(store, { webhookId, organizationId, count: 30_000, at: NOW - 40 * DAY, status: "delivered" });
    store.database.sqlite.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    const before = size();
    await round();
    expect(size()).toBeLessThan(before / 4);
  });

  test("goes on after a fault where it was, with nothing half removed", async () => {
    seed(store, { webhookId, organizationId, count: 1_000, at: NOW - 40 * DAY, status: "delivered" });
    addEarlierAttempts();
    const { sqlite } = store.database;
    sqlite.exec(
      `CREATE TRIGGER broken BEFORE DELETE ON deliveries WHEN old.id > ${idAt(NOW - 40 * DAY + 700)} BEGIN SELECT raise(ABORT, 'disk'); END`,
    );
    await expect(round()).rejects.toThrow("disk");
    expect([rows("deliveries"), rows("attempts")]).toEqual([600, 600]);
    sqlite.exec("DROP TRIGGER broken");
    expect(await round()).toMatchObject({ deliveries: 600, events: 1_000 });
  });
});

test("a daemon prunes a million events, deliveries and attempts while events keep flowing", async () => {
  const receiver = startReceiver();
  const each = 340_000;
  seed(store, { webhookId, organizationId, count: each, at: NOW - 40 * DAY, status: "delivered" });
  seed(store, { webhookId, organizationId, count: 100, at: NOW - 50 * DAY, status: "failed" });
  const parked = await addWebhook(store, organizationId);
  await store.webhooks.update(organizationId, parked.uuid, { enabled: false });
  seed(store, { webhookId: parked.id, organizationId, count: 100, at: NOW - 45 * DAY, status: "pending" });
  store.database.sqlite.query("UPDATE webhooks SET url = ?").run(receiver.url);
  await closeWhole(store);
  const path = join(dataDir, "armorhooks.db");
  const before = statSync(path).size;

  const daemon = await startDaemon({ dir, args: [...LOOPBACK, "--log-level", "error"] });
  const scanner = await connectScanner(daemon.socket);
  const acked: number[] = [];
  const pruned = async () =>
    (await metric(daemon, 'pruned_rows_total{table="deliveries"}')) +
    (await metric(daemon, 'pruned_rows_total{table="attempts"}')) +
    (await metric(daemon, 'pruned_rows_total{table="events"}'));
  let isFlowing = true;
  const flow = (async () => {
    while (isFlowing) {
      const started = performance.now();
      const [ack] = await scanner.send(scan());
      expect(ack?.ok).toBe(true);
      acked.push(performance.now() - started);
      await Bun.sleep(5);
    }
  })();
  await until("they are all gone", async () => (await pruned()) >= 3 * each + 300, 45_000);
  await until("the file has shrunk", () => statSync(path).size < before / 5, 15_000);
  isFlowing = false;
  await flow;
  await until("what came meanwhile was delivered", () => receiver.received.length >= acked.length);
  expect(acked.length).toBeGreaterThan(200);
  expect(acked.toSorted((a, b) => a - b)[acked.length >> 1]).toBeLessThan(50);
  expect(await metric(daemon, "pending_deliveries")).toBe(100);
  scanner.close();
  await daemon.stop();
  await receiver.stop();
  store = openTestStore(dataDir);
}, 75_000);

async function metric(daemon: RunningDaemon, name: string): Promise<number> {
  const text = await (await fetch(`${daemon.url}/metrics`)).text();
  const line = text.split("\n").find((candidate) => candidate.startsWith(`armorhooks_${name} `));
  return Number(line?.split(" ").at(-1));
}
