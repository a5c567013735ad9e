import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { addPacked, newHistogram, quantile } from "../../../src/latency-histogram.ts";
import {
  type CountedAttempt,
  createStatistics,
  type SqliteStatistics,
} from "../../../src/store/sqlite/statistics.ts";
import type { SqliteStore } from "../../../src/store/sqlite/store.ts";
import type { WebhookStep } from "../../../src/store/statistics.ts";
import type { Webhook } from "../../../src/store/webhooks.ts";
import { newDir, removeDir } from "../../support/daemon.ts";
import { addOrganization, addWebhook, openTestStore } from "../seed.ts";

const MINUTE = 60_000;
const BEGIN = 1_000 * MINUTE;

let dir: string;
let store: SqliteStore;
let organizationId: number;
let webhooks: [Webhook, Webhook];
let statistics: SqliteStatistics;

beforeEach(async () => {
  dir = newDir();
  store = openTestStore(dir);
  organizationId = await addOrganization(store);
  webhooks = [await addWebhook(store, organizationId), await addWebhook(store, organizationId)];
  statistics = createStatistics(store.database);
});
afterEach(async () => {
  await store.close();
  removeDir(dir);
});

const attempt = (fields: Partial<CountedAttempt> = {}): CountedAttempt => ({
  webhookId: webhooks[0].id,
  startedAt: BEGIN,
  durationMs: 5,
  status: "delivered",
  ...fields,
});

const count = (...attempts: CountedAttempt[]): void =>
  store.database.transaction("relaxed", () => statistics.count(attempts));
const countEnded = (webhook: Webhook, deliveries: number, at: number): void =>
  store.database.transaction("relaxed", () => statistics.countEnded(webhook.id, deliveries, at));
const prune = (before: number, limit: number): number =>
  store.database.transaction("relaxed", () => statistics.prune(before, limit));

/** Steps of each webhook, the oldest webhook first; `p50` and `p99` of what was packed. */
async function steps({ stepMs = MINUTE, webhookUuid = null as string | null, minutes = 60 } = {}) {
  const range = { organizationId, webhookUuid, from: BEGIN, to: BEGIN + minutes * MINUTE, stepMs };
  return (await statistics.steps(range)).toReversed().map(({ steps }) => steps.map(read));
}

function read({ latencies, ...counts }: WebhookStep) {
  const histogram = newHistogram();
  addPacked(histogram, latencies);
  return {
    ...counts,
    p50: quantile(histogram, 0.5, counts.attempts),
    p99: quantile(histogram, 0.99, counts.attempts),
  };
}

describe("statistics", () => {
  test("count by webhook and the minute in which an attempt ended, whatever came between", async () => {
    const [one, two] = webhooks;
    count(
      attempt({ durationMs: 3 }),
      attempt({ durationMs: 3, status: "failed" }),
      attempt({ webhookId: two.id, durationMs: 7, status: "pending" }),
      attempt({ durationMs: 9, status: "pending" }),
      attempt({ startedAt: BEGIN + MINUTE - 5, durationMs: 5 }),
      attempt({ webhookId: one.id, durationMs: 4 }),
    );
    expect(await steps()).toEqual([
      [
        { at: BEGIN, attempts: 4, delivered: 2, failed: 1, p50: 3, p99: 9 },
        { at: BEGIN + MINUTE, attempts: 1, delivered: 1, failed: 0, p50: 5, p99: 5 },
      ],
      [{ at: BEGIN, attempts: 1, delivered: 0, failed: 0, p50: 7, p99: 7 }],
    ]);
  });

  test("add up over transactions, latencies too", async () => {
    count(attempt({ durationMs: 1 }), attempt({ durationMs: 2 }));
    count(attempt({ durationMs: 15, status: "failed" }));
    count(attempt({ durationMs: 2 }), attempt({ durationMs: 14, status: "pending" }));
    expect(await steps()).toEqual([
      [{ at: BEGIN, attempts: 5, delivered: 3, failed: 1, p50: 2, p99: 15 }],
      [],
    ]);
  });

  test("take few bytes, however many transactions a minute has", async () => {
    for (let i = 0; i < 200; i += 1) count(attempt({ durationMs: i % 4 }));
    const row = store.database.sqlite
      .query<{ bytes: number }, []>("SELECT length(latencies) AS bytes FROM webhook_minutes")
      .get();
    expect(row?.bytes).toBeLessThanOrEqual(64);
    expect(await steps()).toEqual([
      [{ at: BEGIN, attempts: 200, delivered: 200, failed: 0, p50: 1, p99: 3 }],
      [],
    ]);
  });

  test("count what ended without an attempt, and nothing where nothing did", async () => {
    const [one, two] = webhooks;
    countEnded(one, 7, BEGIN + 1);
    countEnded(one, 2, BEGIN + 2);
    countEnded(two, 0, BEGIN);
    expect(await steps()).toEqual([
      [{ at: BEGIN, attempts: 0, delivered: 0, failed: 9, p50: null, p99: null }],
      [],
    ]);
  });

  test("are summed up in longer steps, of the time that is asked for", async () => {
    for (const minute of [-1, 0, 1, 4, 5, 9, 10])
      count(attempt({ startedAt: BEGIN + minute * MINUTE, durationMs: minute + 1 }));
    const [sums] = await steps({ stepMs: 5 * MINUTE, minutes: 10 });
    expect(sums).toEqual([
      { at: BEGIN, attempts: 3, delivered: 3, failed: 0, p50: 2, p99: 5 },
      { at: BEGIN + 5 * MINUTE, attempts: 2, delivered: 2, failed: 0, p50: 6, p99: 10 },
    ]);
  });

  test("are of the webhooks that there are, of one organization, or of one of them", async () => {
    const other = await addOrganization(store);
    const theirs = await addWebhook(store, other);
    const [one, two] = webhooks;
    count(attempt(), attempt({ webhookId: two.id }), attempt({ webhookId: theirs.id }));
    expect((await steps()).map((own) => own.length)).toEqual([1, 1]);
    expect(await steps({ webhookUuid: two.uuid })).toHaveLength(1);
    expect(await steps({ webhookUuid: theirs.uuid })).toEqual([]);
    await store.webhooks.remove(organizationId, one.uuid);
    expect((await steps()).map((own) => own.length)).toEqual([1]);
  });

  test("are pruned by age, as many as may be, of every webhook", async () => {
    const [one, two] = webhooks;
    for (const minute of [0, 1, 2, 3])
      for (const { id } of [one, two]) count(attempt({ webhookId: id, startedAt: BEGIN + minute * MINUTE }));
    const before = BEGIN + 3 * MINUTE;
    expect(prune(before, 4)).toBe(4);
    expect((await steps()).map((own) => own.length)).toEqual([1, 3]);
    expect(prune(before, 4)).toBe(2);
    expect(prune(before, 4)).toBe(0);
    expect((await steps()).flat().map(({ at }) => at)).toEqual([before, before]);
  });
});
