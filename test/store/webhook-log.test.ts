import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createOverview } from "../../src/store/sqlite/overview.ts";
import type { Store } from "../../src/store/sqlite/store.ts";
import { newDir, removeDir } from "../support/daemon.ts";
import { addOrganization, addWebhook, BODY, openTestStore } from "./seed.ts";

let dir: string;
let store: Store;
let organizationId: number;
let webhookIds: number[];

beforeEach(() => {
  dir = newDir();
  store = openTestStore(dir);
  organizationId = addOrganization(store);
  webhookIds = [addWebhook(store, organizationId).id, addWebhook(store, organizationId).id];
});

afterEach(() => {
  store.close();
  removeDir(dir);
});

const insert = (events: number): void => {
  const event = { organizationId, externalId: null, type: 2, body: BODY, receivedAt: 1, webhookIds };
  store.events.insertEvents(Array(events).fill(event), 1);
};

/** What the log has of what it should have. */
const logged = (): { of: number; has: number } => {
  const count = (of: string) =>
    store.database.sqlite.query<{ n: number }, []>(`SELECT count(*) AS n FROM ${of}`).get()?.n ?? 0;
  return {
    of: count("deliveries"),
    has: count("webhook_log l JOIN deliveries d ON d.id = l.delivery_id AND d.webhook_id = l.webhook_id"),
  };
};

const listed = (webhookId: number): number =>
  store.deliveryLog.list({ webhookId, status: null, beforeId: Number.MAX_SAFE_INTEGER, limit: 1_000 }).rows
    .length;

/** Has every write to the log fail, as on a full disk. */
const breakLog = (): void => {
  store.database.sqlite.exec("PRAGMA query_only = ON");
};
const mendLog = (): void => {
  store.database.sqlite.exec("PRAGMA query_only = OFF");
};

describe("the log of each webhook's deliveries", () => {
  test("takes many events in at once, few a little later", async () => {
    insert(3);
    expect(logged()).toEqual({ of: 6, has: 0 });
    insert(20);
    expect(logged()).toEqual({ of: 46, has: 46 });
    insert(2);
    expect(logged()).toEqual({ of: 50, has: 46 });
    await Bun.sleep(200);
    expect(logged()).toEqual({ of: 50, has: 50 });
  });

  test("lacks nothing for whoever reads it", () => {
    for (let n = 1; n <= 5; n += 1) {
      insert(1);
      for (const webhookId of webhookIds) {
        expect(listed(webhookId)).toBe(n);
        expect(store.deliveries.fresh(webhookId, 0, 100)).toHaveLength(n);
        expect(store.deliveries.hasPending(webhookId)).toBe(true);
      }
      expect(store.deliveries.countPending()).toBe(2 * n);
    }
  });

  test("is complete after a crash, whatever it lacked", () => {
    insert(20);
    insert(3);
    expect(logged()).toEqual({ of: 46, has: 40 });
    store.close();
    store = openTestStore(dir);
    expect(logged()).toEqual({ of: 46, has: 40 });
    expect(store.deliveries.countPending()).toBe(46);
    expect(logged()).toEqual({ of: 46, has: 46 });
  });

  test("what it lacks is counted by a command beside the daemon", () => {
    const pending = () => createOverview(store.database).pendingByWebhook();
    insert(3);
    expect(logged().has).toBe(0);
    expect(pending()).toEqual(new Map(webhookIds.map((id) => [id, 3])));
    insert(20);
    insert(1);
    expect(logged()).toEqual({ of: 48, has: 46 });
    expect(pending()).toEqual(new Map(webhookIds.map((id) => [id, 24])));
  });

  test("nothing is overlooked while the store cannot write, nor afterwards", () => {
    insert(2);
    breakLog();
    expect(() => store.deliveries.fresh(webhookIds[0] as number, 0, 100)).toThrow();
    expect(store.deliveries.hasPending(webhookIds[0] as number)).toBe(true);
    expect(listed(webhookIds[0] as number)).toBe(0);
    expect(() => insert(20)).toThrow();
    mendLog();
    expect(listed(webhookIds[0] as number)).toBe(2);
    insert(20);
    expect(store.deliveries.fresh(webhookIds[0] as number, 0, 100)).toHaveLength(22);
  });

  test("a first look that fails after a crash does not take the log for complete", () => {
    insert(3);
    store.close();
    store = openTestStore(dir);
    store.database.sqlite.exec(
      "CREATE TEMP TRIGGER full BEFORE INSERT ON webhook_log BEGIN SELECT RAISE(ABORT, 'full'); END",
    );
    expect(() => store.deliveries.fresh(webhookIds[0] as number, 0, 100)).toThrow("full");
    store.database.sqlite.exec("DROP TRIGGER full");
    expect(store.deliveries.fresh(webhookIds[0] as number, 0, 100)).toHaveLength(3);
    expect(logged()).toEqual({ of: 6, has: 6 });
  });

  test("a transaction that fails took nothing in", () => {
    insert(2);
    store.database.sqlite.exec(
      "CREATE TEMP TRIGGER full AFTER INSERT ON webhook_log WHEN (SELECT count(*) FROM webhook_log) > 20 BEGIN SELECT RAISE(ABORT, 'full'); END",
    );
    expect(() => insert(20)).toThrow("full");
    expect(logged()).toEqual({ of: 4, has: 0 });
    store.database.sqlite.exec("DROP TRIGGER full");
    insert(1);
    expect(store.deliveries.countPending()).toBe(6);
    expect(logged()).toEqual({ of: 6, has: 6 });
  });
});
