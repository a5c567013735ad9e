import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { idAt } from "../../src/ids.ts";
import type { DeliveryStatus } from "../../src/outcomes.ts";
import type { DeliveryPage } from "../../src/store/history.ts";
import type { RecoverOptions } from "../../src/store/sqlite/delivery-log.ts";
import type { SqliteStore } from "../../src/store/sqlite/store.ts";
import type { Webhook } from "../../src/store/webhooks.ts";
import { newDir, removeDir } from "../support/daemon.ts";
import { addOrganization, addWebhook, BODY, openTestStore, seed } from "./seed.ts";

let dir: string;
let store: SqliteStore;
let organizationId: number;

beforeAll(async () => {
  dir = newDir();
  store = openTestStore(join(dir, "data"));
  organizationId = await addOrganization(store);
});
afterAll(async () => {
  await store.close();
  removeDir(dir);
});

const START = Date.UTC(2026, 0, 1);
const ALL = { status: null, beforeId: null };
/** Each test has a stretch of time of its own, as ids are made of it. */
let stretch = 0;
function place(): number {
  stretch += 1;
  return START + stretch * 86_400_000 * 6;
}

function idsOf(rows: readonly { id: number }[]): number[] {
  return rows.map(({ id }) => id);
}

/** Every page of a webhook's log, with `between` called after each. */
async function readPages(
  webhookId: number,
  status: DeliveryStatus | null,
  limit: number,
  between = (): void => {},
): Promise<number[]> {
  const read: number[] = [];
  for (let beforeId: number | null = null; ; ) {
    const page: DeliveryPage = await store.history.list({ webhookId, status, beforeId, limit });
    const { nextBeforeId } = page;
    read.push(...idsOf(page.deliveries));
    if (nextBeforeId === null) return read;
    beforeId = nextBeforeId;
    between();
  }
}

describe("the delivery log", () => {
  test("lists newest first, by status or all, each once whatever the page size", async () => {
    const { id: webhookId } = await addWebhook(store, organizationId);
    const at = place();
    for (const [i, status] of (["delivered", "failed", "pending", "delivered"] as const).entries()) {
      seed(store, { webhookId, organizationId, count: 7, at: at + i * 100, status });
    }
    const all = idsOf((await store.history.list({ webhookId, ...ALL, limit: 100 })).deliveries);
    expect(all).toHaveLength(28);
    expect(all).toEqual([...all].sort((a, b) => b - a));
    for (const limit of [1, 3, 7, 28, 29]) expect(await readPages(webhookId, null, limit)).toEqual(all);
    expect(await readPages(webhookId, "delivered", 5)).toEqual([...all.slice(0, 7), ...all.slice(21)]);
    expect(await readPages(webhookId, "failed", 5)).toEqual(all.slice(14, 21));
    expect(await readPages(webhookId, "pending", 5)).toEqual(all.slice(7, 14));
  });

  test("pages stay stable while deliveries are added", async () => {
    const { id: webhookId } = await addWebhook(store, organizationId);
    const at = place();
    seed(store, { webhookId, organizationId, count: 50, at, status: "delivered" });
    const before = await readPages(webhookId, null, 100);
    let added = 0;
    const add = (): void => {
      added += 1;
      seed(store, { webhookId, organizationId, count: 3, at: at + added * 1_000, status: "delivered" });
    };
    expect(await readPages(webhookId, null, 10, add)).toEqual(before);
    expect(added).toBe(4);
  });

  test("shows another webhook's deliveries to nobody, and another organization's delivery neither", async () => {
    const mine = (await addWebhook(store, organizationId)).id;
    const at = place();
    seed(store, { webhookId: mine, organizationId, count: 1, at, status: "delivered" });
    const other = await addOrganization(store);
    expect(
      (await store.history.list({ webhookId: (await addWebhook(store, other)).id, ...ALL, limit: 10 }))
        .deliveries,
    ).toEqual([]);
    const id = idAt(at) + 1;
    expect((await store.history.get(organizationId, id))?.id).toBe(id);
    expect(await store.history.get(other, id)).toBeNull();
    expect(await store.history.detail(other, id)).toBeNull();
    const detail = await store.history.detail(organizationId, id);
    expect(detail?.attempts).toEqual([
      expect.objectContaining({ number: 1, status: 200, error: null, responseExcerpt: "ok" }),
    ]);
    expect(detail?.payload).toBe(BODY);
  });

  test("retry makes a delivery due now with a fresh budget, and keeps its attempts", async () => {
    const { id: webhookId } = await addWebhook(store, organizationId);
    const at = place();
    seed(store, { webhookId, organizationId, count: 1, at, status: "failed" });
    const id = idAt(at) + 1;
    store.deliveryLog.retry(id, at + 5_000);
    expect(await store.history.get(organizationId, id)).toMatchObject({
      status: "pending",
      attemptCount: 1,
      nextAttemptAt: at + 5_000,
      finishedAt: null,
    });
    expect(store.deliveries.dueAgain(webhookId, at + 5_000, 10)).toEqual([
      expect.objectContaining({ id, budgetFrom: 1 }),
    ]);
    expect((await store.history.detail(organizationId, id))?.attempts).toHaveLength(1);
  });
});

describe("a recovery", () => {
  const optionsFor = (webhookId: number, since: number, until: number): RecoverOptions => ({
    webhookId,
    range: { since, until },
    fromId: null,
    dueAt: store.clock.schedule(),
    now: store.clock.wall(),
  });

  function recover(options: RecoverOptions): number {
    let recovered = 0;
    for (let fromId: number | null | undefined; fromId !== null; ) {
      const step = store.deliveryLog.recoverStep({ ...options, fromId: fromId ?? null });
      recovered += step.recovered;
      fromId = step.nextFromId;
    }
    return recovered;
  }

  test("sends what failed and what came while the webhook was disabled, and nothing that reached it", async () => {
    const { id: webhookId } = await addWebhook(store, organizationId);
    const another = (await addWebhook(store, organizationId)).id;
    const at = place();
    seed(store, { webhookId, organizationId, count: 600, at, status: "failed" });
    seed(store, { webhookId, organizationId, count: 600, at: at + 1_000, status: "delivered" });
    // Another webhook got these; this one was disabled.
    seed(store, { webhookId: another, organizationId, count: 600, at: at + 2_000, status: "delivered" });
    expect(recover(optionsFor(webhookId, at, at + 10_000))).toBe(1_200);
    expect(recover(optionsFor(webhookId, at, at + 10_000))).toBe(0);
    const { deliveries: pending } = await store.history.list({
      webhookId,
      status: "pending",
      beforeId: null,
      limit: 2_000,
    });
    expect(pending).toHaveLength(1_200);
    expect(new Set(pending.map(({ eventId }) => eventId)).size).toBe(1_200);
    expect((await store.history.list({ webhookId: another, ...ALL, limit: 1_000 })).deliveries).toHaveLength(
      600,
    );
  });

  test("takes events of the range only, both ends included, and of the types subscribed to", async () => {
    const { id: webhookId } = await addWebhook(store, organizationId);
    const at = place();
    seed(store, { webhookId, organizationId, count: 10, at, status: "failed" });
    const { uuid } = (await store.webhooks.list(organizationId)).find(
      ({ id }) => id === webhookId,
    ) as Webhook;
    await store.webhooks.update(organizationId, uuid, { events: ["green_tier", "yellow_tier"] });
    expect(recover(optionsFor(webhookId, at, at + 10))).toBe(0);
    await store.webhooks.update(organizationId, uuid, { events: ["red_tier"] });
    expect(recover(optionsFor(webhookId, at + 2, at + 4))).toBe(3);
    expect(recover(optionsFor(webhookId, at, at + 100))).toBe(7);
  });

  test("leaves other organizations' events alone", async () => {
    const other = await addOrganization(store);
    const theirs = (await addWebhook(store, other)).id;
    const { id: webhookId } = await addWebhook(store, organizationId);
    const at = place();
    seed(store, { webhookId: theirs, organizationId: other, count: 10, at, status: "failed" });
    expect(recover(optionsFor(webhookId, at, at + 100))).toBe(0);
  });

  test("ends when the webhook is deleted in between", async () => {
    const { id: webhookId, uuid } = await addWebhook(store, organizationId);
    const at = place();
    seed(store, { webhookId, organizationId, count: 1_500, at, status: "failed" });
    const options = optionsFor(webhookId, at, at + 10_000);
    const { recovered, nextFromId } = store.deliveryLog.recoverStep(options);
    expect(recovered).toBe(500);
    await store.webhooks.remove(organizationId, uuid);
    expect(store.deliveryLog.recoverStep({ ...options, fromId: nextFromId })).toEqual({
      recovered: 0,
      nextFromId: null,
    });
  });
});

/** Generous, for slow and busy machines; the limit itself holds for the median. */
const SLOW_MACHINE = 5;

test("among a million deliveries, the median page takes under 20 ms, wherever it is and whatever the filter", async () => {
  const { id: webhookId } = await addWebhook(store, organizationId);
  const at = place();
  const count = 1_000_000;
  // Mostly delivered, with failures far apart: the worst case for a filter without an index.
  seed(store, { webhookId, organizationId, count, at, status: "delivered" });
  store.database.sqlite.exec(
    `UPDATE deliveries SET status = 2 WHERE webhook_id = ${webhookId} AND (id - 1 - ${idAt(at)}) / 4096 % 100000 = 0`,
  );
  const positions = Array.from({ length: 20 }, (_, i) => idAt(at + (count / 20) * (i + 1)));
  for (const status of [null, "delivered", "failed", "pending"] as const) {
    const times: number[] = [];
    for (const beforeId of positions) {
      const started = performance.now();
      const { deliveries } = await store.history.list({ webhookId, status, beforeId, limit: 101 });
      expect(deliveries.length > 0).toBe(status !== "pending");
      times.push(performance.now() - started);
    }
    expect(median(times)).toBeLessThan(20);
    expect(Math.max(...times)).toBeLessThan(20 * SLOW_MACHINE);
  }
  expect(await readPages(webhookId, "failed", 3)).toHaveLength(10);
}, 20_000);

test("a few delivered ones behind many failed ones are all found, the median step in under 20 ms", async () => {
  const { id: webhookId } = await addWebhook(store, organizationId);
  const at = place();
  seed(store, { webhookId, organizationId, count: 3, at, status: "delivered" });
  seed(store, { webhookId, organizationId, count: 45_000, at: at + 1_000, status: "failed" });
  const times: number[] = [];
  const note = (): void => {
    times.push(performance.now());
  };
  note();
  expect(await readPages(webhookId, "delivered", 2, note)).toEqual([2, 1, 0].map((i) => idAt(at + i) + 1));
  expect(times.length).toBeGreaterThan(4);
  expect(median(times.slice(1).map((time, i) => time - (times[i] as number)))).toBeLessThan(20);
});

function median(times: number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] as number;
}
