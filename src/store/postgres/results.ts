import type { Clock } from "../../clock.ts";
import type { DeliveryStatus } from "../../outcomes.ts";
import type { AttemptRecord, Ending, WebhookDelta } from "../delivery-queue.ts";
import type { Claims } from "./claims.ts";
import { raiseVersion } from "./directory.ts";
import { partitionIn } from "./partitions.ts";
import type { Pool, Query } from "./pool.ts";
import { DELIVERED, FAILED, PENDING } from "./schema.ts";
import { storable } from "./text.ts";

/** What writing a batch of attempts came to. */
export interface Written {
  endings: Ending[];
  /** Webhooks with deliveries that are due again: retried by hand meanwhile, or not written as their lease was lost. */
  due: Set<number>;
  /** Whether a webhook was given up. */
  disabled: boolean;
}

const STATUS: Record<DeliveryStatus, number> = { pending: PENDING, delivered: DELIVERED, failed: FAILED };

/**
 * The attempts whose partitions are still in the epoch in which they were claimed: who was stopped, or cut off, and
 * wakes up when another daemon has taken over, writes nothing.
 */
const INPUT = `WITH input AS MATERIALIZED (
    SELECT * FROM unnest($1::int[], $2::bigint[], $3::int[], $4::bigint[], $5::int[], $6::int[], $7::text[], $8::text[],
      $9::text[], $10::smallint[], $11::bigint[], $12::bigint[], $13::boolean[], $14::int[], $15::bigint[], $16::boolean[])
      AS t(webhook_id, id, number, started_at, duration_ms, http_status, error, detail, excerpt, state, next_at,
        finished_at, is_charged, retries, epoch, is_given_up)
  ), fenced AS MATERIALIZED (
    SELECT i.* FROM input i
    WHERE EXISTS (SELECT 1 FROM partitions p WHERE p.id = ${partitionIn("i.webhook_id")} AND p.epoch = i.epoch)
  )`;

/**
 * Rows are found one by one, by what the index holds, and then taken by their place: as a plain join it would be
 * planned by what is known of a table that is empty most of the time.
 */
const WRITE = `${INPUT}, found AS MATERIALIZED (
    SELECT i.*, q.place, q.event_id, q.created_at, q.budget_from, q.asked > i.retries AS is_asked,
      i.state <> ${PENDING} AND NOT (i.state = ${FAILED} AND q.asked > i.retries AND NOT i.is_given_up) AS ends
    FROM fenced i CROSS JOIN LATERAL (
      SELECT q.ctid AS place, q.event_id, q.created_at, q.budget_from, q.retries AS asked FROM queue q
      WHERE q.webhook_id = i.webhook_id AND q.id = i.id AND q.attempt_count = i.number - 1 LIMIT 1) q
  ), gone AS (
    DELETE FROM queue q USING found f WHERE q.ctid = f.place AND f.ends RETURNING f.*
  ), done AS (
    INSERT INTO deliveries (webhook_id, id, event_id, status, attempt_count, budget_from, created_at, finished_at,
      last_status, last_error, last_detail, last_started_at, last_duration_ms, last_excerpt)
    SELECT webhook_id, id, event_id, state, number, budget_from, created_at, finished_at,
      http_status, error, detail, started_at, duration_ms, excerpt FROM gone
  ), kept AS (
    UPDATE queue q SET attempt_count = f.number, tried = true,
      budget_from = CASE WHEN f.is_asked THEN f.number WHEN f.is_charged THEN f.budget_from ELSE f.budget_from + 1 END,
      due_at = CASE WHEN f.is_asked THEN $17::bigint ELSE f.next_at END,
      last_status = f.http_status, last_error = f.error, last_detail = f.detail, last_started_at = f.started_at
    FROM found f WHERE q.ctid = f.place AND NOT f.ends RETURNING f.*
  ), tries AS (
    INSERT INTO attempts (delivery_id, number, started_at, duration_ms, status, error, detail, response_excerpt)
    SELECT id, number, started_at, duration_ms, http_status, error, detail, excerpt FROM kept ON CONFLICT DO NOTHING
  ), hooks AS (
    UPDATE webhooks w SET failure_count = CASE WHEN d.succeeded THEN 0 ELSE w.failure_count END + d.failures,
      last_triggered_at = greatest(w.last_triggered_at, d.triggered_at), last_success_at = coalesce(d.success_at, w.last_success_at),
      paused_until = coalesce(d.paused_until, w.paused_until)
    FROM unnest($18::int[], $19::boolean[], $20::int[], $21::bigint[], $22::bigint[], $23::bigint[])
      AS d(webhook_id, succeeded, failures, triggered_at, success_at, paused_until)
    WHERE w.id = d.webhook_id AND d.webhook_id IN (SELECT webhook_id FROM fenced)
  )
  SELECT (SELECT count(*) FROM gone)::int4 + (SELECT count(*) FROM kept)::int4 AS written,
    (SELECT count(*) FROM fenced)::int4 AS fenced,
    (SELECT string_agg(DISTINCT webhook_id::text, ',') FROM kept WHERE is_asked) AS asked,
    CASE WHEN (SELECT count(*) FROM fenced) < cardinality($1::int[])
      THEN coalesce((SELECT string_agg(DISTINCT webhook_id::text, ',') FROM fenced), '') END AS "fencedWebhooks"`;

/**
 * For those that were not found: a result that comes late takes nothing back. What was ended with its webhook stays
 * ended unless it got through, and one that was written before, by a commit whose answer was lost, stays as it is.
 */
const WRITE_LATE = `${INPUT}, late AS (
    UPDATE deliveries d SET attempt_count = i.number, last_status = i.http_status,
      status = CASE WHEN i.state = ${PENDING} THEN d.status ELSE i.state END,
      finished_at = coalesce(i.finished_at, d.finished_at),
      last_error = CASE WHEN i.state = ${PENDING} THEN d.last_error ELSE i.error END,
      last_detail = CASE WHEN i.state = ${PENDING} THEN d.last_detail ELSE i.detail END,
      last_started_at = CASE WHEN i.state = ${PENDING} THEN d.last_started_at ELSE i.started_at END,
      last_duration_ms = CASE WHEN i.state = ${PENDING} THEN d.last_duration_ms ELSE i.duration_ms END,
      last_excerpt = CASE WHEN i.state = ${PENDING} THEN d.last_excerpt ELSE i.excerpt END
    FROM fenced i WHERE d.webhook_id = i.webhook_id AND d.id = i.id AND d.status = ${FAILED} AND d.attempt_count < i.number
    RETURNING i.*
  )
  INSERT INTO attempts (delivery_id, number, started_at, duration_ms, status, error, detail, response_excerpt)
  SELECT id, number, started_at, duration_ms, http_status, error, detail, excerpt FROM late WHERE state = ${PENDING}
  ON CONFLICT DO NOTHING`;

const DISABLE = `UPDATE webhooks w SET enabled = false, disabled_reason = $2, end_through = $3, changed_in = $4
  WHERE w.id = $1 AND w.enabled`;

interface Answer {
  written: number;
  fenced: number;
  asked: string | null;
  fencedWebhooks: string | null;
}

export interface ResultWriter {
  write(attempts: readonly AttemptRecord[], deltas: readonly WebhookDelta[]): Promise<Written>;
}

export function createResultWriter(
  worker: Pool,
  { claims, clock, ceiling }: { claims: Claims; clock: Clock; ceiling: () => number },
): ResultWriter {
  const inputOf = (attempts: readonly AttemptRecord[], deltas: readonly WebhookDelta[]): unknown[] => {
    const givenUp = new Set(deltas.flatMap((d) => (d.disabledReason === null ? [] : [d.webhookId])));
    const claimed = attempts.map(({ webhookId, deliveryId }) => claims.get(webhookId, deliveryId));
    return [
      attempts.map((a) => a.webhookId),
      attempts.map((a) => a.deliveryId),
      attempts.map((a) => a.number),
      attempts.map((a) => a.startedAt),
      attempts.map((a) => Math.round(a.durationMs)),
      attempts.map((a) => a.httpStatus),
      attempts.map((a) => a.error),
      attempts.map((a) => storable(a.detail)),
      attempts.map((a) => storable(a.excerpt)),
      attempts.map((a) => STATUS[a.status]),
      attempts.map((a) => a.nextAttemptAt),
      attempts.map((a) => a.finishedAt),
      attempts.map((a) => a.isCharged),
      claimed.map((c) => c?.retries ?? 0),
      claimed.map((c) => c?.epoch ?? -1),
      attempts.map((a) => givenUp.has(a.webhookId)),
    ];
  };

  /** More than one attempt of a delivery cannot be written at once: each is found by the one before. */
  const rounds = (attempts: readonly AttemptRecord[]): AttemptRecord[][] => {
    const split: AttemptRecord[][] = [];
    const seen = new Map<number, number>();
    for (const attempt of attempts) {
      const round = seen.get(attempt.deliveryId) ?? 0;
      seen.set(attempt.deliveryId, round + 1);
      split[round] ??= [];
      split[round].push(attempt);
    }
    return split;
  };

  const writeRound = async (
    query: Query,
    attempts: readonly AttemptRecord[],
    deltas: readonly WebhookDelta[],
    due: Set<number>,
  ): Promise<void> => {
    const input = inputOf(attempts, deltas);
    const [answer] = await query<Answer>(WRITE, [
      ...input,
      clock.schedule(),
      deltas.map((d) => d.webhookId),
      deltas.map((d) => d.succeeded),
      deltas.map((d) => d.failures),
      deltas.map((d) => d.lastTriggeredAt),
      deltas.map((d) => d.lastSuccessAt),
      deltas.map((d) => d.pausedUntil),
    ]);
    const { written, fenced, asked, fencedWebhooks } = answer as Answer;
    for (const id of numbers(asked)) due.add(id);
    if (fencedWebhooks !== null) {
      const fine = new Set(numbers(fencedWebhooks));
      for (const { webhookId } of attempts) if (!fine.has(webhookId)) due.add(webhookId);
    }
    if (written < fenced) await query(WRITE_LATE, input);
  };

  return {
    async write(attempts, deltas) {
      const due = new Set<number>();
      const disabled = deltas.filter(({ disabledReason }) => disabledReason !== null);
      const split = rounds(attempts);
      if (split.length === 1 && disabled.length === 0) {
        await writeRound(worker.query, attempts, deltas, due);
        return { endings: [], due, disabled: false };
      }
      const throughId = ceiling();
      await worker.transaction(async (query) => {
        due.clear();
        for (const [i, round] of split.entries()) await writeRound(query, round, i === 0 ? deltas : [], due);
        if (disabled.length === 0) return;
        const version = await raiseVersion(query);
        for (const { webhookId, disabledReason } of disabled) {
          // Not when the lease was lost: then it is not known that nothing has succeeded since.
          if (!due.has(webhookId)) await query(DISABLE, [webhookId, disabledReason, throughId, version]);
        }
      });
      const endings = disabled.flatMap(({ webhookId }): Ending[] =>
        due.has(webhookId) ? [] : [{ webhookId, reason: "webhook_disabled", throughId }],
      );
      return { endings, due, disabled: endings.length > 0 };
    },
  };
}

function numbers(list: string | null): number[] {
  return list === null || list === "" ? [] : list.split(",").map(Number);
}
