import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { SQL } from "bun";
import type { ClaimedDelivery, Ending } from "../../src/store/delivery-queue.ts";
import { openPostgresStore } from "../../src/store/postgres/store.ts";
import type { Store } from "../../src/store/store.ts";
import { append, attempt, claimAll, historyOf, record } from "../store/conformance/deliveries.ts";
import { addOrganization, addWebhook } from "../store/conformance/harness.ts";
import { until } from "../support/daemon.ts";
import { atEnd, cleanUp, emptyDir } from "../support/e2e.ts";
import { type Cluster, hasPostgres, startCluster } from "../support/postgres.ts";

const NOTHING = { due() {}, changed() {}, gained() {}, lost() {} };
/** Until a statement that must wait for a lock does so. */
const WAITING_MS = 200;

let cluster: Cluster;
let url: string;
let store: Store;
let webhookId: number;
let fresh: readonly [ClaimedDelivery, ClaimedDelivery, ClaimedDelivery];

/** Locks rows in a transaction of its own; what is returned ends that. */
async function lock(rows: string): Promise<() => Promise<void>> {
  const sql = new SQL(url, { max: 1 });
  atEnd(() => sql.close());
  const session = await sql.reserve();
  await session.unsafe("BEGIN");
  await session.unsafe(`${rows} FOR UPDATE`);
  return async () => {
    await session.unsafe("COMMIT");
    session.release();
  };
}

const endAll = (): Promise<void> => {
  const ending: Ending = { webhookId, reason: "webhook_disabled", throughId: fresh[2].id };
  return store.deliveryQueue.endPending(ending, () => {});
};

describe.if(hasPostgres())("what a webhook that was given up has pending", () => {
  beforeAll(async () => {
    cluster = await startCluster();
  }, 30_000);
  beforeEach(async () => {
    url = await cluster.database();
    const path = join(emptyDir(), "secret.key");
    writeFileSync(path, "5a".repeat(32));
    store = await openPostgresStore({ url, resident: true, secretKey: { path, managed: true } });
    atEnd(() => store.close());
    store.deliveryQueue.watch(NOTHING);
    await until("it holds webhooks", () => store.deliveryQueue.mayBegin(1));
    const organizationId = await addOrganization(store);
    ({ id: webhookId } = await addWebhook(store, organizationId));
    const input = { organizationId, webhookIds: [webhookId] };
    await append(store, input, input, input);
    fresh = (await claimAll(store, webhookId)).fresh as unknown as typeof fresh;
  });
  afterEach(cleanUp);
  afterAll(() => cluster.remove());

  test("is ended also where a result of it was being written: none stays pending for ever", async () => {
    // Has the result wait after it has changed the delivery's place in the queue.
    const unlock = await lock(`SELECT 1 FROM webhooks WHERE id = ${webhookId}`);
    const written = record(store, [attempt(store, fresh[1], "pending")]);
    await Bun.sleep(WAITING_MS);
    const ended = endAll();
    await Bun.sleep(WAITING_MS);
    await unlock();
    await Promise.all([written, ended]);
    expect((await historyOf(store, webhookId)).map(({ status }) => status)).toEqual([
      "failed",
      "failed",
      "failed",
    ]);
    expect(await store.overview.countPending()).toBe(0);
  });

  test("is ended beside results that are written in another order: neither waits for the other", async () => {
    const [one, two, three] = fresh;
    const unlock = await lock(`SELECT 1 FROM queue WHERE id = ${two.id}`);
    const before = performance.now();
    const ended = endAll();
    await Bun.sleep(WAITING_MS);
    const written = record(store, [attempt(store, three, "delivered"), attempt(store, one, "delivered")]);
    await Bun.sleep(WAITING_MS);
    await unlock();
    await Promise.all([written, ended]);
    // What waits for ever is found out by the server after a second.
    expect(performance.now() - before).toBeLessThan(900);
    expect((await historyOf(store, webhookId, "delivered")).map(({ id }) => id)).toEqual([three.id, one.id]);
    expect(await store.overview.countPending()).toBe(0);
  });

  test("is to be ended though what is in memory could not be read again after the commit", async () => {
    const [one, two, three] = fresh;
    store.deliveryQueue.release([two, three]);
    cluster.run(url, "ALTER TABLE organizations RENAME TO organizations_away");
    const gone = attempt(store, one, "failed", { httpStatus: 410, failsWithWebhook: true });
    const { endings } = await record(store, [gone], { disabledReason: "gone" });
    cluster.run(url, "ALTER TABLE organizations_away RENAME TO organizations");
    expect(endings).toMatchObject([{ webhookId, reason: "webhook_disabled" }]);
    await until("it is known again", async () => store.webhooks.subscribers(1, 2, "{}").length === 0);
  });
});
