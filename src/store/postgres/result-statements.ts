import { FAILED, PENDING } from "../common/delivery-row.ts";
import { partitionIn } from "./partitions.ts";

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
export const WRITE = `${INPUT}, found AS MATERIALIZED (
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
      paused_until = CASE WHEN w.url = d.paused_by THEN d.paused_until ELSE w.paused_until END
    FROM unnest($18::int[], $19::boolean[], $20::int[], $21::bigint[], $22::bigint[], $23::bigint[], $24::text[])
      AS d(webhook_id, succeeded, failures, triggered_at, success_at, paused_until, paused_by)
    WHERE w.id = d.webhook_id AND d.webhook_id IN (SELECT webhook_id FROM fenced)
  )
  SELECT (SELECT count(*) FROM gone)::int4 + (SELECT count(*) FROM kept)::int4 AS written,
    (SELECT count(*) FROM fenced)::int4 AS fenced,
    (SELECT string_agg(webhook_id || ' ' || id, ',') FROM kept WHERE is_asked) AS asked,
    CASE WHEN (SELECT count(*) FROM fenced) < cardinality($1::int[])
      THEN coalesce((SELECT string_agg(DISTINCT webhook_id::text, ',') FROM fenced), '') END AS "fencedWebhooks"`;

/**
 * For those that were not found: a result that comes late takes nothing back. What was ended with its webhook stays
 * ended unless it got through, and one that was written before, by a commit whose answer was lost, stays as it is.
 */
export const WRITE_LATE = `${INPUT}, late AS (
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

/** Webhooks that are to be given up, where they still have the receiver that said so; none gets another one before the commit. */
export const STILL_THERE = `SELECT w.id FROM webhooks w JOIN unnest($1::int[], $2::text[]) AS d(id, url) ON w.id = d.id AND w.url = d.url
  ORDER BY w.id FOR UPDATE OF w`;

export const DISABLE = `UPDATE webhooks w SET enabled = false, disabled_reason = $2, end_through = $3, changed_in = $4
  WHERE w.id = $1 AND (w.enabled OR w.disabled_reason = 'owner')`;
