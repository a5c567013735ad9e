import type { Database } from "bun:sqlite";
import { FAILED, PENDING, STATUS } from "../common/delivery-row.ts";
import type { AttemptRecord, ClaimedDelivery, WebhookDelta } from "../delivery-queue.ts";
import type { StoreDatabase } from "./database.ts";
import { freshOf, LOGGED_DELIVERIES, prepareAdvance } from "./fresh-deliveries.ts";
import { TRIED } from "./schema.ts";
import type { SqliteStatistics } from "./statistics.ts";
import type { WebhookLog } from "./webhook-log.ts";

/** A pending delivery, as it is to be claimed. */
export type DueDelivery = ClaimedDelivery;

/** What a batch of attempts changes about one webhook, and what the tables need to know beside it. */
export interface WebhookOutcome extends WebhookDelta {
  /** No larger delivery id was ever tried. */
  triedThrough: number;
  /** When it is disabled with this batch: its pending deliveries up to this id are to be ended. */
  endThrough: number;
}

export interface DeliveryStore {
  /**
   * Pending deliveries of a webhook that were tried before and are due again, the longest due first; `triedBefore`
   * (wall time) leaves out what was tried since.
   */
  dueAgain(webhookId: number, now: number, limit: number, triedBefore?: number): DueDelivery[];
  /** Pending deliveries of a webhook that were never tried, which makes them due, with ids above one, in order. */
  fresh(webhookId: number, afterId: number, limit: number): DueDelivery[];
  /** When the next pending delivery of a webhook is due after `now`; null when there is none. */
  nextDueAfter(webhookId: number, now: number): number | null;
  /**
   * Of the next so many webhooks with ids above one, those that are enabled and have any pending delivery, or may have
   * while the store cannot write. What its owner has switched off waits until it is switched on again. `through` is
   * the last id that was looked at; null when there was none.
   */
  pendingAfter(webhookId: number, limit: number): { webhookIds: number[]; through: number | null };
  /** Writes attempts, their deliveries' next states and their webhooks' counters in one transaction. */
  recordAttempts(attempts: readonly AttemptRecord[], webhooks: readonly WebhookOutcome[]): void;
  /** Ends up to `limit` pending deliveries of a webhook as failed and notes when none are left; answers how many it ended. */
  failPending(options: FailPending): number;
}

export interface FailPending {
  webhookId: number;
  reason: "webhook_disabled" | "webhook_deleted";
  finishedAt: number;
  limit: number;
  /** Only deliveries with ids up to this one: those that were there when the webhook was disabled. */
  throughId: number;
}

const CLAIM_COLUMNS = `deliveries.id AS id, deliveries.webhook_id AS webhookId, event_id AS eventId, body,
  attempt_count AS attemptCount, budget_from AS budgetFrom`;

export function createDeliveryStore(
  { sqlite, transaction }: StoreDatabase,
  { webhookLog, statistics }: { webhookLog: WebhookLog; statistics: SqliteStatistics },
): DeliveryStore {
  const dueAgain = sqlite.prepare<DueDelivery, [number, number, number, number]>(
    `SELECT ${CLAIM_COLUMNS}, next_attempt_at AS dueAt FROM deliveries INDEXED BY deliveries_waiting JOIN events e ON e.id = event_id
     WHERE webhook_id = ?1 AND ${TRIED} AND next_attempt_at <= ?2 AND coalesce(last_started_at, 0) < ?4 ORDER BY next_attempt_at, deliveries.id LIMIT ?3`,
  );
  const fresh = sqlite.prepare<DueDelivery, [number, number, number]>(
    `SELECT ${CLAIM_COLUMNS}, 0 AS dueAt FROM ${LOGGED_DELIVERIES} JOIN events e ON e.id = event_id
     WHERE ${freshOf("?1", "?2 + 1")} ORDER BY l.delivery_id LIMIT ?3`,
  );
  const next = sqlite.prepare<{ at: number | null }, [number, number]>(
    `SELECT min(next_attempt_at) AS at FROM deliveries INDEXED BY deliveries_waiting
     WHERE webhook_id = ? AND ${TRIED} AND next_attempt_at > ?`,
  );
  const reached = sqlite.prepare<{ id: number | null }, [number, number]>(
    "SELECT max(id) AS id FROM (SELECT id FROM webhooks WHERE id > ? ORDER BY id LIMIT ?)",
  );
  const enabled = "SELECT w.id AS id FROM webhooks w WHERE w.id > ?1 AND w.id <= ?2 AND w.enabled = 1";
  const all = sqlite.prepare<{ id: number }, [number, number]>(enabled);
  const pending = sqlite.prepare<{ id: number }, [number, number]>(
    `${enabled} AND (EXISTS (SELECT 1 FROM deliveries INDEXED BY deliveries_tried WHERE webhook_id = w.id AND ${TRIED})
       OR (SELECT max(delivery_id) FROM webhook_log WHERE webhook_id = w.id) > w.tried_through
       OR EXISTS (SELECT 1 FROM ${LOGGED_DELIVERIES} WHERE ${freshOf("w.id")}))`,
  );
  const writeAttempt = prepareAttemptWriter(sqlite);
  const advance = prepareAdvance(sqlite);
  const writeOutcome = prepareOutcomeWriter(sqlite, advance, webhookLog.takeIn);
  const failPending = preparePendingEnd(sqlite, advance);
  const participants = [webhookLog];

  return {
    dueAgain: (webhookId, now, limit, triedBefore = Number.MAX_SAFE_INTEGER) =>
      dueAgain.all(webhookId, now, limit, triedBefore),
    fresh: (webhookId, afterId, limit) => {
      // What it lacks would be taken for not being there.
      webhookLog.catchUp();
      return fresh.all(webhookId, afterId, limit);
    },
    nextDueAfter: (webhookId, now) => next.get(webhookId, now)?.at ?? null,
    pendingAfter(webhookId, limit) {
      const through = reached.get(webhookId, limit)?.id ?? null;
      if (through === null) return { webhookIds: [], through };
      // What nobody can tell now is to be looked for until it can be told.
      const found = webhookLog.catchUpIfPossible() ? pending : all;
      return { webhookIds: found.all(webhookId, through).map(({ id }) => id), through };
    },
    recordAttempts: (attempts, webhooks) =>
      transaction(
        "relaxed",
        () => {
          for (const attempt of attempts) writeAttempt(attempt);
          for (const webhook of webhooks) writeOutcome(webhook);
          statistics.count(attempts);
        },
        participants,
      ),
    failPending: (options) => {
      webhookLog.catchUp();
      return transaction("relaxed", () => {
        const ended = failPending(options);
        statistics.countEnded(options.webhookId, ended, options.finishedAt);
        return ended;
      });
    },
  };
}

/** Copies the latest attempt of some deliveries to the attempts before it, where their rows are about to lose it. */
const keepLatestAttempt = (condition: string): string =>
  `INSERT INTO attempts
   SELECT id, attempt_count, last_started_at, last_duration_ms, last_status, last_error, last_excerpt, last_detail
   FROM deliveries WHERE ${condition} AND last_started_at IS NOT NULL ON CONFLICT DO NOTHING`;

/**
 * A late result takes nothing back: a delivered one stays so, and one that was ended with its webhook while
 * the attempt was under way does not become pending again.
 */
function prepareAttemptWriter(sqlite: Database): (attempt: AttemptRecord) => void {
  const keepLatest = sqlite.prepare(keepLatestAttempt("id = ?"));
  const update = sqlite.prepare(
    `UPDATE deliveries SET status = ?1, attempt_count = ?2, next_attempt_at = ?3, last_status = ?4, last_error = ?5,
     finished_at = ?6, last_started_at = ?7, last_duration_ms = ?8, last_excerpt = ?9, last_detail = ?10, room = NULL
     WHERE id = ?11 AND (status = ${PENDING} OR (status = ${FAILED} AND ?1 <> ${PENDING}))`,
  );
  const uncharge = sqlite.prepare(
    `UPDATE deliveries SET budget_from = budget_from + 1 WHERE id = ? AND status = ${PENDING}`,
  );
  // With a retention shorter than an attempt, the delivery may have been pruned meanwhile.
  const insertLate = sqlite.prepare(
    `INSERT OR IGNORE INTO attempts SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
     WHERE EXISTS (SELECT 1 FROM deliveries WHERE id = ?1 AND attempt_count < ?2)`,
  );
  const updateEnded = sqlite.prepare(
    `UPDATE deliveries SET attempt_count = ?, last_status = ? WHERE id = ? AND status = ${FAILED}`,
  );
  return (a) => {
    const { deliveryId, number, startedAt, durationMs, httpStatus, error, excerpt, detail } = a;
    if (number > 1) keepLatest.run(deliveryId);
    const { changes } = update.run(
      STATUS[a.status],
      number,
      a.nextAttemptAt,
      httpStatus,
      error,
      a.finishedAt,
      startedAt,
      durationMs,
      excerpt,
      detail,
      deliveryId,
    );
    if (changes > 0) {
      if (!a.isCharged) uncharge.run(deliveryId);
      return;
    }
    insertLate.run(deliveryId, number, startedAt, durationMs, httpStatus, error, excerpt, detail);
    updateEnded.run(number, httpStatus, deliveryId);
  };
}

type Advance = ReturnType<typeof prepareAdvance>;

/** Outcomes of a webhook until its watermark is moved: it is not worth a statement for each. */
const ADVANCE_AFTER = 16;

function prepareOutcomeWriter(
  sqlite: Database,
  advance: Advance,
  takeIn: () => void,
): (outcome: WebhookOutcome) => void {
  const update = sqlite.prepare(
    `UPDATE webhooks SET failure_count = iif(?, 0, failure_count) + ?, last_triggered_at = ?, last_success_at = coalesce(?, last_success_at),
     paused_until = coalesce(?, paused_until), tried_through = max(tried_through, ?) WHERE id = ?`,
  );
  const disable = sqlite.prepare(
    "UPDATE webhooks SET enabled = 0, disabled_reason = ?, end_through = ? WHERE id = ?",
  );
  const sinceAdvance = new Map<number, number>();
  return (o) => {
    update.run(
      o.succeeded,
      o.failures,
      o.lastTriggeredAt,
      o.lastSuccessAt,
      o.pausedUntil,
      o.triedThrough,
      o.webhookId,
    );
    const count = (sinceAdvance.get(o.webhookId) ?? 0) + 1;
    sinceAdvance.set(o.webhookId, count % ADVANCE_AFTER);
    if (count === ADVANCE_AFTER) {
      // The watermark can be moved over what is in the log.
      takeIn();
      advance(o.webhookId);
    }
    if (o.disabledReason) disable.run(o.disabledReason, o.endThrough, o.webhookId);
  };
}

function preparePendingEnd(sqlite: Database, advance: Advance): (options: FailPending) => number {
  // By the id that the table is read by, as otherwise all that is pending would be sorted for each step.
  const fresh = `SELECT l.delivery_id FROM ${LOGGED_DELIVERIES} WHERE ${freshOf("?1")}
    AND l.delivery_id <= ?2 ORDER BY l.delivery_id LIMIT ?3`;
  const again = `SELECT id FROM deliveries INDEXED BY deliveries_tried WHERE webhook_id = ?1 AND ${TRIED}
    AND id <= ?2 ORDER BY id LIMIT ?3`;
  const keepLatest = sqlite.prepare(keepLatestAttempt(`id IN (${again})`));
  // What ended them takes the place of their latest attempt.
  const fail = (chosen: string) =>
    sqlite.prepare(
      `UPDATE deliveries SET status = ${FAILED}, next_attempt_at = NULL, last_error = ?4, finished_at = ?5,
       last_started_at = NULL, last_duration_ms = NULL, last_excerpt = NULL, last_detail = NULL
       WHERE id IN (${chosen})`,
    );
  const failFresh = fail(fresh);
  const failAgain = fail(again);
  const tried = sqlite.prepare("UPDATE webhooks SET tried_through = max(tried_through, ?) WHERE id = ?");
  const ended = sqlite.prepare("UPDATE webhooks SET end_through = NULL WHERE id = ?");
  return ({ webhookId, reason, finishedAt, limit, throughId }) => {
    let count = failFresh.run(webhookId, throughId, limit, reason, finishedAt).changes;
    keepLatest.run(webhookId, throughId, limit - count);
    count += failAgain.run(webhookId, throughId, limit - count, reason, finishedAt).changes;
    tried.run(throughId, webhookId);
    advance(webhookId);
    if (count < limit) ended.run(webhookId);
    return count;
  };
}
