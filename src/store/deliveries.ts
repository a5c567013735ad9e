import type { Database } from "bun:sqlite";
import { timeOfId } from "../ids.ts";
import type { StoreDatabase } from "./database.ts";
import { type DisabledReason, FAILED, FRESH, PENDING, TRIED } from "./schema.ts";

/** Why an attempt failed (CONTRACT, section 5). */
export type AttemptError =
  | "connection_failed"
  | "dns_failed"
  | "tls_failed"
  | "timeout"
  | "blocked_address"
  | "invalid_response"
  | "http_status";

/** A pending delivery with all that an attempt needs. */
export interface DueDelivery {
  id: number;
  eventId: number;
  body: string;
  attemptCount: number;
  budgetFrom: number;
}

/** One attempt that was made, and the state it leaves its delivery in. */
export interface AttemptRecord {
  deliveryId: number;
  number: number;
  /** Wall time, milliseconds. */
  startedAt: number;
  durationMs: number;
  httpStatus: number | null;
  error: AttemptError | null;
  excerpt: string | null;
  /** PENDING, DELIVERED or FAILED. */
  status: number;
  /** Schedule time of the next attempt; null when finished. */
  nextAttemptAt: number | null;
  finishedAt: number | null;
}

/** What a batch of attempts leaves of one webhook. */
export interface WebhookOutcome {
  webhookId: number;
  failureCount: number;
  /** Wall time of the latest attempt. */
  lastTriggeredAt: number;
  /** Schedule time of the latest success, if there was one. */
  lastSuccessAt: number | null;
  /** Why the webhook is given up with this batch; null when it is not. */
  disabledReason: DisabledReason | null;
  /** Then its pending deliveries up to this id are to be ended. */
  endThrough: number;
}

export interface DeliveryStore {
  /** Pending deliveries of a webhook that were tried before and are due again, the longest due first. */
  dueAgain(webhookId: number, now: number, limit: number): DueDelivery[];
  /** Pending deliveries of a webhook that were never tried, which makes them due, with ids above one, in order. */
  fresh(webhookId: number, afterId: number, limit: number): DueDelivery[];
  /** When the next pending delivery of a webhook is due after `now`; null when there is none. */
  nextDueAfter(webhookId: number, now: number): number | null;
  /** Whether a webhook has any pending delivery. */
  hasPending(webhookId: number): boolean;
  /** Writes attempts, their deliveries' next states and their webhooks' counters in one transaction. */
  recordAttempts(attempts: readonly AttemptRecord[], webhooks: readonly WebhookOutcome[]): void;
  /** Ends up to `limit` pending deliveries of a webhook as failed and notes when none are left; answers how many it ended. */
  failPending(options: FailPending): number;
  /** How many deliveries are pending in all. */
  countPending(): number;
  /** Schedule time at which the oldest pending delivery of an enabled webhook was created; null when none. */
  oldestPending(): number | null;
}

export interface FailPending {
  webhookId: number;
  reason: "webhook_disabled" | "webhook_deleted";
  finishedAt: number;
  limit: number;
  /** Only deliveries with ids up to this one: those that were there when the webhook was disabled. */
  throughId: number;
}

const DUE_COLUMNS =
  "d.id AS id, d.event_id AS eventId, e.body AS body, d.attempt_count AS attemptCount, d.budget_from AS budgetFrom";

export function createDeliveryStore({ sqlite, transaction }: StoreDatabase): DeliveryStore {
  const dueAgain = sqlite.prepare<DueDelivery, [number, number, number]>(
    `SELECT ${DUE_COLUMNS} FROM deliveries d INDEXED BY deliveries_waiting JOIN events e ON e.id = d.event_id
     WHERE d.webhook_id = ? AND ${TRIED} AND next_attempt_at <= ? ORDER BY next_attempt_at, d.id LIMIT ?`,
  );
  const fresh = sqlite.prepare<DueDelivery, [number, number, number]>(
    `SELECT ${DUE_COLUMNS} FROM deliveries d INDEXED BY deliveries_fresh JOIN events e ON e.id = d.event_id
     WHERE d.webhook_id = ? AND ${FRESH} AND d.id > ? ORDER BY d.id LIMIT ?`,
  );
  const next = sqlite.prepare<{ at: number | null }, [number, number]>(
    `SELECT min(next_attempt_at) AS at FROM deliveries INDEXED BY deliveries_waiting
     WHERE webhook_id = ? AND ${TRIED} AND next_attempt_at > ?`,
  );
  const any = sqlite.prepare<{ one: number }, [number]>(
    `SELECT 1 AS one WHERE EXISTS (SELECT 1 FROM deliveries INDEXED BY deliveries_fresh WHERE webhook_id = ?1 AND ${FRESH})
     OR EXISTS (SELECT 1 FROM deliveries INDEXED BY deliveries_tried WHERE webhook_id = ?1 AND ${TRIED})`,
  );
  const pendingCount = sqlite.prepare<{ n: number }, []>(
    `SELECT (SELECT count(*) FROM deliveries INDEXED BY deliveries_fresh WHERE ${FRESH})
     + (SELECT count(*) FROM deliveries INDEXED BY deliveries_tried WHERE ${TRIED}) AS n`,
  );
  const oldestOf = (index: string, condition: string): string =>
    `SELECT (SELECT min(id) FROM deliveries INDEXED BY ${index} WHERE webhook_id = w.id AND ${condition}) AS id
     FROM webhooks w WHERE w.enabled = 1`;
  const oldest = sqlite.prepare<{ id: number | null }, []>(
    `SELECT min(id) AS id FROM
     (${oldestOf("deliveries_fresh", FRESH)} UNION ALL ${oldestOf("deliveries_tried", TRIED)})`,
  );
  const writeAttempt = prepareAttemptWriter(sqlite);
  const writeOutcome = prepareOutcomeWriter(sqlite);
  const failPending = preparePendingEnd(sqlite);

  return {
    dueAgain: (webhookId, now, limit) => dueAgain.all(webhookId, now, limit),
    fresh: (webhookId, afterId, limit) => fresh.all(webhookId, afterId, limit),
    nextDueAfter: (webhookId, now) => next.get(webhookId, now)?.at ?? null,
    hasPending: (webhookId) => any.get(webhookId) !== null,
    countPending: () => pendingCount.get()?.n ?? 0,
    oldestPending: () => {
      const id = oldest.get()?.id ?? null;
      return id === null ? null : timeOfId(id);
    },
    recordAttempts: (attempts, webhooks) =>
      transaction("relaxed", () => {
        for (const attempt of attempts) writeAttempt(attempt);
        for (const webhook of webhooks) writeOutcome(webhook);
      }),
    failPending: (options) => transaction("relaxed", () => failPending(options)),
  };
}

/** Copies the latest attempt of some deliveries to the attempts before it, where their rows are about to lose it. */
const keepLatestAttempt = (condition: string): string =>
  `INSERT INTO attempts
   SELECT id, attempt_count, last_started_at, last_duration_ms, last_status, last_error, last_excerpt
   FROM deliveries WHERE ${condition} AND last_started_at IS NOT NULL ON CONFLICT DO NOTHING`;

/**
 * A late result takes nothing back: a delivered one stays so, and one that was ended with its webhook while
 * the attempt was under way does not become pending again.
 */
function prepareAttemptWriter(sqlite: Database): (attempt: AttemptRecord) => void {
  const keepLatest = sqlite.prepare(keepLatestAttempt("id = ?"));
  const update = sqlite.prepare(
    `UPDATE deliveries SET status = ?1, attempt_count = ?2, next_attempt_at = ?3, last_status = ?4, last_error = ?5,
     finished_at = ?6, last_started_at = ?7, last_duration_ms = ?8, last_excerpt = ?9, room = NULL
     WHERE id = ?10 AND (status = ${PENDING} OR (status = ${FAILED} AND ?1 <> ${PENDING}))`,
  );
  // With a retention shorter than an attempt, the delivery may have been pruned meanwhile.
  const insertLate = sqlite.prepare(
    `INSERT OR IGNORE INTO attempts SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
     WHERE EXISTS (SELECT 1 FROM deliveries WHERE id = ?1 AND attempt_count < ?2)`,
  );
  const updateEnded = sqlite.prepare(
    `UPDATE deliveries SET attempt_count = ?, last_status = ? WHERE id = ? AND status = ${FAILED}`,
  );
  return (a) => {
    const { deliveryId, number, startedAt, durationMs, httpStatus, error, excerpt } = a;
    if (number > 1) keepLatest.run(deliveryId);
    const { changes } = update.run(
      a.status,
      number,
      a.nextAttemptAt,
      httpStatus,
      error,
      a.finishedAt,
      startedAt,
      durationMs,
      excerpt,
      deliveryId,
    );
    if (changes > 0) return;
    insertLate.run(deliveryId, number, startedAt, durationMs, httpStatus, error, excerpt);
    updateEnded.run(number, httpStatus, deliveryId);
  };
}

function prepareOutcomeWriter(sqlite: Database): (outcome: WebhookOutcome) => void {
  const update = sqlite.prepare(
    "UPDATE webhooks SET failure_count = ?, last_triggered_at = ?, last_success_at = coalesce(?, last_success_at) WHERE id = ?",
  );
  const disable = sqlite.prepare(
    "UPDATE webhooks SET enabled = 0, disabled_reason = ?, end_through = ? WHERE id = ?",
  );
  return (o) => {
    update.run(o.failureCount, o.lastTriggeredAt, o.lastSuccessAt, o.webhookId);
    if (o.disabledReason) disable.run(o.disabledReason, o.endThrough, o.webhookId);
  };
}

function preparePendingEnd(sqlite: Database): (options: FailPending) => number {
  const statements = [
    ["deliveries_fresh", FRESH],
    ["deliveries_tried", TRIED],
  ].map(([index, condition]) => {
    const chosen = `SELECT id FROM deliveries INDEXED BY ${index} WHERE webhook_id = ? AND ${condition} AND id <= ? ORDER BY id LIMIT ?`;
    return {
      keepLatest: sqlite.prepare(keepLatestAttempt(`id IN (${chosen})`)),
      // What ended them takes the place of their latest attempt.
      fail: sqlite.prepare(
        `UPDATE deliveries SET status = ${FAILED}, next_attempt_at = NULL, last_error = ?, finished_at = ?,
         last_started_at = NULL, last_duration_ms = NULL, last_excerpt = NULL WHERE id IN (${chosen})`,
      ),
    };
  });
  const ended = sqlite.prepare("UPDATE webhooks SET end_through = NULL WHERE id = ?");
  return ({ webhookId, reason, finishedAt, limit, throughId }) => {
    let count = 0;
    for (const { keepLatest, fail } of statements) {
      keepLatest.run(webhookId, throughId, limit - count);
      count += fail.run(reason, finishedAt, webhookId, throughId, limit - count).changes;
    }
    if (count < limit) ended.run(webhookId);
    return count;
  };
}
