import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { DELIVERY_STATUSES } from "../../../src/outcomes.ts";
import { DELIVERED, FAILED, PENDING } from "../../../src/store/common/delivery-row.ts";
import type { AttemptRecord } from "../../../src/store/delivery-queue.ts";
import type { SqliteStore } from "../../../src/store/sqlite/store.ts";
import { newDir, removeDir } from "../../support/daemon.ts";
import { addOrganization, addWebhook, BODY, openTestStore } from "../seed.ts";

const WEBHOOKS = 3;
const ALL = 1_000;

interface Row {
  id: number;
  webhookId: number;
  status: number;
  attempts: number;
  error: string | null;
}

/** Looks at every row: what the marks must lead to. */
function rowsOf({ database }: SqliteStore): Row[] {
  return database.sqlite
    .query<Row, []>(
      "SELECT id, webhook_id AS webhookId, status, attempt_count AS attempts, last_error AS error FROM deliveries ORDER BY id",
    )
    .all();
}

/** Not what was ended without an attempt and is pending again. */
const isFresh = ({ status, attempts, error }: Row): boolean =>
  status === PENDING && attempts === 0 && error === null;

async function expectFound(store: SqliteStore, webhookIds: readonly number[]): Promise<void> {
  const rows = rowsOf(store);
  const pending = rows.filter(({ status }) => status === PENDING);
  expect(await store.overview.countPending()).toBe(pending.length);
  for (const webhookId of webhookIds) {
    const own = pending.filter((row) => row.webhookId === webhookId);
    const fresh = own.filter(isFresh).map(({ id }) => id);
    expect(store.deliveries.fresh(webhookId, 0, ALL).map(({ id }) => id)).toEqual(fresh);
    const middle = fresh[Math.floor(fresh.length / 2)] ?? 0;
    expect(store.deliveries.fresh(webhookId, middle, ALL).map(({ id }) => id)).toEqual(
      fresh.filter((id) => id > middle),
    );
    const again = own.filter((row) => !isFresh(row)).map(({ id }) => id);
    const due = store.deliveries.dueAgain(webhookId, Number.MAX_SAFE_INTEGER, ALL).map(({ id }) => id);
    expect(due.toSorted((a, b) => a - b)).toEqual(again);
    expect(store.deliveries.pendingAfter(webhookId - 1, 1).webhookIds).toEqual(
      own.length > 0 ? [webhookId] : [],
    );
    const listed = await store.history.list({ webhookId, status: "pending", beforeId: null, limit: ALL });
    expect(listed.deliveries.map(({ id }) => id)).toEqual(own.map(({ id }) => id).reverse());
  }
}

/** One step of what a daemon does to its deliveries; numbers choose among what is there. */
const step = fc.oneof(
  fc.record({ kind: fc.constant("events" as const), count: fc.integer({ min: 1, max: 4 }) }),
  fc.record({
    kind: fc.constant("results" as const),
    webhook: fc.nat(WEBHOOKS - 1),
    picks: fc.array(fc.nat(), { minLength: 1, maxLength: 6 }),
    status: fc.constantFrom(DELIVERED, DELIVERED, PENDING, FAILED),
  }),
  fc.record({
    kind: fc.constant("end" as const),
    webhook: fc.nat(WEBHOOKS - 1),
    limit: fc.constantFrom(1, 3, 50),
    pick: fc.nat(),
  }),
  fc.record({ kind: fc.constant("retry" as const), pick: fc.nat() }),
  fc.record({ kind: fc.constant("recover" as const), webhook: fc.nat(WEBHOOKS - 1) }),
  fc.record({ kind: fc.constant("restart" as const) }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

interface World {
  store: SqliteStore;
  organizationId: number;
  webhookIds: readonly number[];
  reopen(): Promise<SqliteStore>;
}

async function take(world: World, action: Step): Promise<void> {
  const { store, organizationId, webhookIds } = world;
  const now = store.clock.wall();
  if (action.kind === "events") {
    const event = { organizationId, externalId: null, type: 2, body: BODY, receivedAt: now, webhookIds };
    store.eventLog.insertEvents(Array(action.count).fill(event), store.clock.schedule());
  } else if (action.kind === "results") {
    record(store, webhookIds[action.webhook] as number, action.picks, action.status);
  } else if (action.kind === "end") {
    const ids = rowsOf(store).map(({ id }) => id);
    store.deliveries.failPending({
      webhookId: webhookIds[action.webhook] as number,
      reason: "webhook_disabled",
      finishedAt: now,
      limit: action.limit,
      throughId: ids[action.pick % ids.length] ?? store.lastId(),
    });
  } else if (action.kind === "retry") {
    const rows = rowsOf(store).filter(({ status }) => status !== PENDING);
    const row = rows[action.pick % rows.length];
    if (row) store.redelivery.retry(row.id, store.clock.schedule());
  } else if (action.kind === "recover") {
    store.redelivery.recoverStep({
      webhookId: webhookIds[action.webhook] as number,
      range: { since: now - 3_600_000, until: now + 3_600_000 },
      fromId: null,
      dueAt: store.clock.schedule(),
      now,
    });
  } else world.store = await world.reopen();
}

/** Writes results of some of a webhook's pending deliveries, in any order. */
function record(store: SqliteStore, webhookId: number, picks: readonly number[], status: number): void {
  const pending = rowsOf(store).filter((row) => row.webhookId === webhookId && row.status === PENDING);
  const chosen = new Set(
    picks.map((pick) => pending[pick % pending.length]).filter((row) => row !== undefined),
  );
  if (chosen.size === 0) return;
  const now = store.clock.wall();
  const attempts = [...chosen].map(
    ({ id, attempts: made }): AttemptRecord => ({
      deliveryId: id,
      webhookId,
      number: made + 1,
      startedAt: now,
      durationMs: 1,
      httpStatus: status === DELIVERED ? 200 : 500,
      error: status === DELIVERED ? null : "http_status",
      detail: null,
      excerpt: null,
      status: DELIVERY_STATUSES[status] as AttemptRecord["status"],
      nextAttemptAt: status === PENDING ? now : null,
      finishedAt: status === PENDING ? null : now,
      isCharged: true,
      keepsClaim: false,
      failsWithWebhook: false,
    }),
  );
  store.deliveries.recordAttempts(attempts, [
    {
      webhookId,
      url: "",
      succeeded: false,
      failures: 0,
      lastTriggeredAt: now,
      lastSuccessAt: null,
      triedThrough: Math.max(...attempts.map(({ deliveryId }) => deliveryId)),
      pausedUntil: null,
      disabledReason: null,
      endThrough: 0,
    },
  ]);
}

describe("fresh deliveries", () => {
  test("are all found, and no others, whatever happened in whatever order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60, size: "max" }), async (steps) => {
        const dir = newDir();
        const dataDir = join(dir, "data");
        const first = openTestStore(dataDir);
        const organizationId = await addOrganization(first);
        const webhookIds = (
          await Promise.all(Array.from({ length: WEBHOOKS }, () => addWebhook(first, organizationId)))
        ).map(({ id }) => id);
        const world: World = {
          store: first,
          organizationId,
          webhookIds,
          async reopen() {
            await world.store.close();
            return openTestStore(dataDir);
          },
        };
        try {
          for (const action of steps) {
            await take(world, action);
            await expectFound(world.store, webhookIds);
          }
        } finally {
          await world.store.close();
          removeDir(dir);
        }
      }),
      { numRuns: 40 },
    );
  }, 60_000);

  test("are looked for among few rows, however many were delivered", async () => {
    const dir = newDir();
    const store = openTestStore(join(dir, "data"));
    try {
      const organizationId = await addOrganization(store);
      const { id: webhookId } = await addWebhook(store, organizationId);
      const world = { store, organizationId, webhookIds: [webhookId], reopen: async () => store };
      for (let n = 0; n < 400; n += 1) {
        await take(world, { kind: "events", count: 4 });
        await take(world, { kind: "results", webhook: 0, picks: [0, 1, 2, 3], status: DELIVERED });
      }
      const between = store.database.sqlite
        .query<{ n: number }, []>(
          "SELECT count(*) AS n FROM deliveries d JOIN webhooks w ON w.id = webhook_id WHERE d.id BETWEEN fresh_from AND tried_through",
        )
        .get();
      expect(between?.n).toBeLessThanOrEqual(64);
    } finally {
      await store.close();
      removeDir(dir);
    }
  });
});
