import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { SqliteStore } from "../../../src/store/sqlite/store.ts";
import { newDir, removeDir } from "../../support/daemon.ts";
import { addOrganization, addWebhook, BODY, openTestStore } from "../seed.ts";

let dir: string;
let store: SqliteStore;
let organizationId: number;
let webhookIds: number[];

beforeEach(async () => {
  dir = newDir();
  store = openTestStore(dir);
  organizationId = await addOrganization(store);
  webhookIds = [(await addWebhook(store, organizationId)).id, (await addWebhook(store, organizationId)).id];
});

afterEach(async () => {
  await store.close();
  removeDir(dir);
});

const insert = (events: number): void => {
  const event = { organizationId, externalId: null, type: 2, body: BODY, receivedAt: 1, webhookIds };
  store.eventLog.insertEvents(Array(events).fill(event), 1);
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

const listed = async (webhookId: number): Promise<number> =>
  (await store.history.list({ webhookId, status: null, beforeId: null, limit: 1_000 })).deliveries.length;

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

  test("lacks nothing for whoever reads it", async () => {
    for (let n = 1; n <= 5; n += 1) {
      insert(1);
      for (const webhookId of webhookIds) {
        expect(await listed(webhookId)).toBe(n);
        expect(store.deliveries.fresh(webhookId, 0, 100)).toHaveLength(n);
        expect(store.deliveries.pendingAfter(webhookId - 1, 1).webhookIds).toEqual([webhookId]);
      }
      expect(await store.overview.countPending()).toBe(2 * n);
    }
  });

  test("is complete after a crash, whatever it lacked", async () => {
    insert(20);
    insert(3);
    expect(logged()).toEqual({ of: 46, has: 40 });
    await store.close();
    store = openTestStore(dir);
    expect(logged()).toEqual({ of: 46, has: 40 });
    expect(await store.overview.countPending()).toBe(46);
    expect(logged()).toEqual({ of: 46, has: 46 });
  });

  test("what it lacks is counted by a command beside the daemon", async () => {
    const pending = () => store.overview.pendingByWebhook();
    insert(3);
    expect(logged().has).toBe(0);
    expect(await pending()).toEqual(new Map(webhookIds.map((id) => [id, 3])));
    insert(20);
    insert(1);
    expect(logged()).toEqual({ of: 48, has: 46 });
    expect(await pending()).toEqual(new Map(webhookIds.map((id) => [id, 24])));
  });

  test("nothing is overlooked while the store cannot write, nor afterwards", async () => {
    insert(2);
    breakLog();
    expect(() => store.deliveries.fresh(webhookIds[0] as number, 0, 100)).toThrow();
    expect(store.deliveries.pendingAfter(0, 1).webhookIds).toEqual([webhookIds[0] as number]);
    expect(await listed(webhookIds[0] as number)).toBe(0);
    expect(() => insert(20)).toThrow();
    mendLog();
    expect(await listed(webhookIds[0] as number)).toBe(2);
    insert(20);
    expect(store.deliveries.fresh(webhookIds[0] as number, 0, 100)).toHaveLength(22);
  });

  test("a first look that fails after a crash does not take the log for complete", async () => {
    insert(3);
    await store.close();
    store = openTestStore(dir);
    store.database.sqlite.exec(
      "CREATE TEMP TRIGGER full BEFORE INSERT ON webhook_log BEGIN SELECT RAISE(ABORT, 'full'); END",
    );
    expect(() => store.deliveries.fresh(webhookIds[0] as number, 0, 100)).toThrow("full");
    store.database.sqlite.exec("DROP TRIGGER full");
    expect(store.deliveries.fresh(webhookIds[0] as number, 0, 100)).toHaveLength(3);
    expect(logged()).toEqual({ of: 6, has: 6 });
  });

  test("a transaction that fails took nothing in", async () => {
    insert(2);
    store.database.sqlite.exec(
      "CREATE TEMP TRIGGER full AFTER INSERT ON webhook_log WHEN (SELECT count(*) FROM webhook_log) > 20 BEGIN SELECT RAISE(ABORT, 'full'); END",
    );
    expect(() => insert(20)).toThrow("full");
    expect(logged()).toEqual({ of: 4, has: 0 });
    store.database.sqlite.exec("DROP TRIGGER full");
    insert(1);
    expect(await store.overview.countPending()).toBe(6);
    expect(logged()).toEqual({ of: 6, has: 6 });
  });
});
