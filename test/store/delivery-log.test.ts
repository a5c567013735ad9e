import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { idAt } from "../../src/ids.ts";
import type { RecoverOptions } from "../../src/store/sqlite/delivery-log.ts";
import { PENDING } from "../../src/store/sqlite/schema.ts";
import type { Store } from "../../src/store/sqlite/store.ts";
import { newDir, removeDir } from "../support/daemon.ts";
import { addOrganization, addWebhook, BODY, openTestStore, seed } from "./seed.ts";

let dir: string;
let store: Store;
let organizationId: number;

beforeAll(() => {
  dir = newDir();
  store = openTestStore(join(dir, "data"));
  organizationId = addOrganization(store);
});
afterAll(() => {
  store.close();
  removeDir(dir);
});

const START = Date.UTC(2026, 0, 1);
const ALL = { status: null, beforeId: Number.MAX_SAFE_INTEGER };
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
function readPages(
  webhookId: number,
  status: number | null,
  limit: number,
  between = (): void => {},
): number[] {
  const read: number[] = [];
  for (let beforeId = Number.MAX_SAFE_INTEGER; ; ) {
    const { rows, nextBeforeId } = store.deliveryLog.list({ webhookId, status, beforeId, limit });
    read.push(...idsOf(rows));
    if (nextBeforeId === null) return read;
    beforeId = nextBeforeId;
    between();
  }
}

describe("the delivery log", () => {
  test("lists newest first, by status or all, each once whatever the page size", () => {
    const { id: webhookId } = addWebhook(store, organizationId);
    const at = place();
    for (const [i, status] of (["delivered", "failed", "pending", "delivered"] as const).entries()) {
      seed(store, { webhookId, organizationId, count: 7, at: at + i * 100, status });
    }
    const all = idsOf(store.deliveryLog.list({ webhookId, ...ALL, limit: 100 }).rows);
    expect(all).toHaveLength(28);
    expect(all).toEqual([...all].sort((a, b) => b - a));
    for (const limit of [1, 3, 7, 28, 29]) expect(readPages(webhookId, null, limit)).toEqual(all);
    expect(readPages(webhookId, 1, 5)).toEqual([...all.slice(0, 7), ...all.slice(21)]);
    expect(readPages(webhookId, 2, 5)).toEqual(all.slice(14, 21));
    expect(readPages(webhookId, PENDING, 5)).toEqual(all.slice(7, 14));
  });

  test("pages stay stable while deliveries are added", () => {
    const { id: webhookId } = addWebhook(store, organizationId);
    const at = place();
    seed(store, { webhookId, organizationId, count: 50, at, status: "delivered" });
    const before = readPages(webhookId, null, 100);
    let added = 0;
    const add = (): void => {
      added += 1;
      seed(store, { webhookId, organizationId, count: 3, at: at + added * 1_000, status: "delivered" });
    };
    expect(readPages(webhookId, null, 10, add)).toEqual(before);
    expect(added).toBe(4);
  });

  test("shows another webhook's deliveries to nobody, and another organization's delivery neither", () => {
    const mine = addWebhook(store, organizationId).id;
    const at = place();
    seed(store, { webhookId: mine, organizationId, count: 1, at, status: "delivered" });
    const other = addOrganization(store);
    expect(
      store.deliveryLog.list({ webhookId: addWebhook(store, other).id, ...ALL, limit: 10 }).rows,
    ).toEqual([]);
    const id = idAt(at) + 1;
    expect(store.deliveryLog.get(organizationId, id)?.id).toBe(id);
    expect(store.deliveryLog.get(other, id)).toBeNull();
    expect(store.deliveryLog.attempts(id)).toEqual([
      expect.objectContaining({ number: 1, status: 200, error: null, responseExcerpt: "ok" }),
    ]);
    expect(store.deliveryLog.payload(idAt(at))).toBe(BODY);
  });

  test("retry makes a delivery due now with a fresh budget, and keeps its attempts", () => {
    const { id: webhookId } = addWebhook(store, organizationId);
    const at = place();
    seed(store, { webhookId, organizationId, count: 1, at, status: "failed" });
    const id = idAt(at) + 1;
    store.deliveryLog.retry(id, at + 5_000);
    expect(store.deliveryLog.get(organizationId, id)).toMatchObject({
      status: PENDING,
      attemptCount: 1,
      budgetFrom: 1,
      nextAttemptAt: at + 5_000,
      finishedAt: null,
    });
    expect(idsOf(store.deliveries.dueAgain(webhookId, at + 5_000, 10))).toEqual([id]);
    expect(store.deliveryLog.attempts(id)).toHaveLength(1);
  });
});

describe("a recovery", () => {
  const optionsFor = (webhookId: number, since: number, until: number): RecoverOptions => ({
    webhookId,
    organizationId,
    types: ["red_tier"],
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

  test("sends what failed and what came while the webhook was disabled, and nothing that reached it", () => {
    const { id: webhookId } = addWebhook(store, organizationId);
    const another = addWebhook(store, organizationId).id;
    const at = place();
    seed(store, { webhookId, organizationId, count: 600, at, status: "failed" });
    seed(store, { webhookId, organizationId, count: 600, at: at + 1_000, status: "delivered" });
    // Another webhook got these; this one was disabled.
    seed(store, { webhookId: another, organizationId, count: 600, at: at + 2_000, status: "delivered" });
    expect(recover(optionsFor(webhookId, at, at + 10_000))).toBe(1_200);
    expect(recover(optionsFor(webhookId, at, at + 10_000))).toBe(0);
    const { rows: pending } = store.deliveryLog.list({
      webhookId,
      status: PENDING,
      beforeId: ALL.beforeId,
      limit: 2_000,
    });
    expect(pending).toHaveLength(1_200);
    expect(new Set(pending.map(({ eventId }) => eventId)).size).toBe(1_200);
    expect(store.deliveryLog.list({ webhookId: another, ...ALL, limit: 1_000 }).rows).toHaveLength(600);
  });

  test("takes events of the range only, both ends included, and of the types subscribed to", () => {
    const { id: webhookId } = addWebhook(store, organizationId);
    const at = place();
    seed(store, { webhookId, organizationId, count: 10, at, status: "failed" });
    expect(recover({ ...optionsFor(webhookId, at, at + 10), types: ["green_tier", "yellow_tier"] })).toBe(0);
    expect(recover(optionsFor(webhookId, at + 2, at + 4))).toBe(3);
    expect(recover(optionsFor(webhookId, at, at + 100))).toBe(7);
  });

  test("leaves other organizations' events alone", () => {
    const other = addOrganization(store);
    const theirs = addWebhook(store, other).id;
    const { id: webhookId } = addWebhook(store, organizationId);
    const at = place();
    seed(store, { webhookId: theirs, organizationId: other, count: 10, at, status: "failed" });
    expect(recover(optionsFor(webhookId, at, at + 100))).toBe(0);
  });

  test("ends when the webhook is deleted in between", () => {
    const { id: webhookId, uuid } = addWebhook(store, organizationId);
    const at = place();
    seed(store, { webhookId, organizationId, count: 1_500, at, status: "failed" });
    const options = optionsFor(webhookId, at, at + 10_000);
    const { recovered, nextFromId } = store.deliveryLog.recoverStep(options);
    expect(recovered).toBe(500);
    store.webhooks.remove(organizationId, uuid, { now: at, lastId: store.lastId() });
    expect(store.deliveryLog.recoverStep({ ...options, fromId: nextFromId })).toEqual({
      recovered: 0,
      nextFromId: null,
    });
  });
});

/** Generous, for slow and busy machines; the limit itself holds for the median. */
const SLOW_MACHINE = 5;

test("among a million deliveries, the median page takes under 20 ms, wherever it is and whatever the filter", () => {
  const { id: webhookId } = addWebhook(store, organizationId);
  const at = place();
  const count = 1_000_000;
  // Mostly delivered, with failures far apart: the worst case for a filter without an index.
  seed(store, { webhookId, organizationId, count, at, status: "delivered" });
  store.database.sqlite.exec(
    `UPDATE deliveries SET status = 2 WHERE webhook_id = ${webhookId} AND (id - 1 - ${idAt(at)}) / 4096 % 100000 = 0`,
  );
  const positions = Array.from({ length: 20 }, (_, i) => idAt(at + (count / 20) * (i + 1)));
  for (const status of [null, 1, 2, PENDING]) {
    const times = positions.map((beforeId) => {
      const started = performance.now();
      const { rows } = store.deliveryLog.list({ webhookId, status, beforeId, limit: 101 });
      expect(rows.length > 0).toBe(status !== PENDING);
      return performance.now() - started;
    });
    expect(median(times)).toBeLessThan(20);
    expect(Math.max(...times)).toBeLessThan(20 * SLOW_MACHINE);
  }
  expect(readPages(webhookId, 2, 3)).toHaveLength(10);
}, 20_000);

test("a few delivered ones behind many failed ones are all found, the median step in under 20 ms", () => {
  const { id: webhookId } = addWebhook(store, organizationId);
  const at = place();
  seed(store, { webhookId, organizationId, count: 3, at, status: "delivered" });
  seed(store, { webhookId, organizationId, count: 45_000, at: at + 1_000, status: "failed" });
  const times: number[] = [];
  const note = (): void => {
    times.push(performance.now());
  };
  note();
  expect(readPages(webhookId, 1, 2, note)).toEqual([2, 1, 0].map((i) => idAt(at + i) + 1));
  expect(times.length).toBeGreaterThan(4);
  expect(median(times.slice(1).map((time, i) => time - (times[i] as number)))).toBeLessThan(20);
});

function median(times: number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] as number;
}
