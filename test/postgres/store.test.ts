import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPostgresStore } from "../../src/store/postgres/store.ts";
import type { Store } from "../../src/store/store.ts";
import {
  append,
  attempt,
  claimAll,
  historyOf,
  newEvent,
  pendingOf,
  prune,
  record,
} from "../store/conformance/deliveries.ts";
import { addOrganization, addWebhook } from "../store/conformance/harness.ts";
import { until } from "../support/daemon.ts";
import { atEnd, cleanUp, emptyDir } from "../support/e2e.ts";
import { type Cluster, hasPostgres, startCluster } from "../support/postgres.ts";

let cluster: Cluster;

const DAY = 86_400_000;
const NOTHING = { due() {}, changed() {}, gained() {}, lost() {} };

/** A store as a daemon has it; `sends` once its engine has started. */
async function open(url: string, sends = true): Promise<Store> {
  const path = join(emptyDir(), "secret.key");
  writeFileSync(path, "5a".repeat(32));
  const store = await openPostgresStore({ url, resident: true, secretKey: { path, managed: true } });
  atEnd(() => store.close());
  if (sends) {
    store.deliveryQueue.watch(NOTHING);
    await until("it holds webhooks", () => store.deliveryQueue.mayBegin(1));
  }
  return store;
}

describe.if(hasPostgres())("two daemons' stores on one PostgreSQL", () => {
  beforeAll(async () => {
    cluster = await startCluster();
  }, 30_000);
  afterEach(cleanUp);
  afterAll(() => cluster.remove());

  test("the same external ids at both at once, in different orders, are stored once, and nobody waits for ever", async () => {
    const url = await cluster.database();
    const [one, two] = [await open(url), await open(url, false)];
    const organizationId = await addOrganization(one);
    for (let round = 0; round < 20; round += 1) {
      const ids = Array.from({ length: 60 }, (_, i) => `${round}-${i}`);
      const events = (store: Store, names: string[]) =>
        store.eventLog.append(
          names.map((externalId) => newEvent(store, { organizationId, externalId, webhookIds: [] })),
          () => false,
        );
      const [first, second] = await Promise.all([events(one, ids), events(two, ids.toReversed())]);
      const byId = (appended: typeof first) =>
        new Map(appended.events.map(({ event, eventId }) => [event.externalId, eventId]));
      expect(byId(first)).toEqual(new Map([...byId(second)].toReversed()));
    }
    expect(cluster.run(url, "SELECT count(*) FROM events")).toBe(String(20 * 60));
  }, 30_000);

  test("a result of before another daemon took over is not written, and the delivery stays to be sent", async () => {
    const url = await cluster.database();
    const store = await open(url);
    const organizationId = await addOrganization(store);
    const { id: webhookId } = await addWebhook(store, organizationId);
    await append(
      store,
      { organizationId, webhookIds: [webhookId] },
      { organizationId, webhookIds: [webhookId] },
    );
    const { fresh } = await claimAll(store, webhookId);
    cluster.run(url, `UPDATE partitions SET epoch = epoch + 1 WHERE id = ${webhookId % 256}`);
    await record(
      store,
      fresh.map((delivery) => attempt(store, delivery, "delivered")),
    );
    expect((await historyOf(store, webhookId)).map(({ status }) => status)).toEqual(["pending", "pending"]);
    expect((await store.webhooks.all())[0]?.lastTriggeredAt).toBeNull();
    expect((await pendingOf(store, webhookId)).fresh).toEqual(fresh.map(({ id }) => id));
  }, 20_000);

  test("what one stores for the other's webhooks the other is told of", async () => {
    const url = await cluster.database();
    const [one, two] = [await open(url), await open(url, false)];
    const organizationId = await addOrganization(one);
    const { id: webhookId } = await addWebhook(one, organizationId);
    const due: number[] = [];
    one.deliveryQueue.watch({ ...NOTHING, due: (id) => due.push(id) });
    await until(
      "it is told",
      async () => {
        await append(two, { organizationId, webhookIds: [webhookId] });
        await Bun.sleep(50);
        return due.includes(webhookId);
      },
      2_000,
    );
  }, 20_000);

  test("one that was removed as dead sends nothing any more, and begins anew as another", async () => {
    const url = await cluster.database();
    const store = await open(url);
    const ids = () => cluster.run(url, "SELECT string_agg(id, ' ') FROM daemons");
    const before = ids();
    let lost = 0;
    store.deliveryQueue.watch({ ...NOTHING, lost: () => (lost += 1) });
    cluster.run(url, "DELETE FROM daemons");
    await until("it has begun anew", () => ids() !== before && ids() !== "", 5_000);
    expect(lost).toBeGreaterThan(0);
    await until(
      "it holds all again",
      () => store.deliveryQueue.mayBegin(1) && store.daemons?.held() === 256,
      5_000,
    );
  }, 20_000);

  test("commits wait for the disk also where the database's own setting says that they need not", async () => {
    const url = await cluster.database();
    cluster.run(url, `ALTER DATABASE ${url.split("/").at(-1)} SET synchronous_commit = off`);
    const store = await open(url);
    cluster.run(
      url,
      `CREATE TABLE seen (setting text);
       CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
       CREATE TRIGGER see AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION see()`,
    );
    await append(store, { organizationId: await addOrganization(store), webhookIds: [] });
    expect(cluster.run(url, "SHOW synchronous_commit")).toBe("off");
    expect(cluster.run(url, "SELECT setting FROM seen")).toBe("on");
  });

  test("there are 63 daemons at most; one more is told so", async () => {
    const url = await cluster.database();
    await (await open(url)).close();
    cluster.run(
      url,
      `INSERT INTO daemons (id, number, name, version, sends, started_at, beat_at, expires_at)
       SELECT gen_random_uuid(), n, 'other', '1', false, now(), now(), now() + interval '1 hour' FROM generate_series(0, 62) n`,
    );
    await expect(openPostgresStore({ url, resident: true, patienceMs: 0 })).rejects.toThrow(
      "there can be 63 daemons",
    );
    cluster.run(url, "DELETE FROM daemons WHERE number = 7");
    await open(url, false);
    await expect(openPostgresStore({ url, resident: true, patienceMs: 0 })).rejects.toThrow("63");
  });

  test("retention drops the tables of days that are over, and nothing of the present day", async () => {
    const url = await cluster.database();
    // Noon of tomorrow: hours later it is the same day.
    const noon = (Math.floor(Date.now() / DAY) + 1.5) * DAY;
    let skew = noon - Date.now();
    const store = await openPostgresStore({ url, resident: true, clockSkew: () => skew });
    atEnd(() => store.close());
    const tables = () =>
      cluster.run(
        url,
        "SELECT relname FROM pg_class WHERE relname LIKE 'events\\_%' AND relkind = 'r' ORDER BY 1",
      );
    const own = `events_${new Date(noon).toISOString().slice(0, 10).replaceAll("-", "")}`;
    await append(store, { organizationId: await addOrganization(store), webhookIds: [] });
    skew += 3 * 3_600_000;
    expect(await prune(store, 3_600_000)).toEqual({ deliveries: 0, attempts: 0, events: 0 });
    expect(tables()).toContain(own);
    skew += 2 * DAY;
    expect(await prune(store, DAY)).toEqual({ deliveries: 0, attempts: 0, events: 1 });
    expect(tables()).not.toContain(own);
  });
});
