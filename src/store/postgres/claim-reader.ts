import type { Clock } from "../../clock.ts";
import type { Claim, ClaimedDelivery, ClaimRequest } from "../delivery-queue.ts";
import type { Claims } from "./claims.ts";
import type { PostgresDatabase } from "./database.ts";
import type { Partitions } from "./partitions.ts";

export interface ClaimReaderParts {
  claims: Claims;
  partitions: Partitions;
  clock: Clock;
}

const COLUMNS = `q.id, q.event_id, q.attempt_count, q.budget_from, q.due_at, q.retries, q.tried`;

/** What is pending, less what is claimed ($3), with its payload; and when the next is due. */
const CLAIM = `WITH held AS MATERIALIZED (SELECT unnest($3::bigint[]) AS id),
  fresh AS (
    SELECT * FROM (SELECT ${COLUMNS} FROM queue q WHERE q.webhook_id = $1 AND NOT q.tried ORDER BY q.id
      LIMIT CASE WHEN $2::int > 0 THEN $2::int + cardinality($3::bigint[]) ELSE 0 END) q
    WHERE NOT EXISTS (SELECT 1 FROM held WHERE held.id = q.id) ORDER BY q.id LIMIT $2::int
  ), again AS (
    SELECT * FROM (SELECT ${COLUMNS} FROM queue q WHERE q.webhook_id = $1 AND q.tried AND q.due_at <= $5::bigint
      AND coalesce(q.last_started_at, 0) < $6::bigint ORDER BY q.due_at, q.id
      LIMIT CASE WHEN $4::int > 0 THEN $4::int + cardinality($3::bigint[]) ELSE 0 END) q
    WHERE NOT EXISTS (SELECT 1 FROM held WHERE held.id = q.id) ORDER BY q.due_at, q.id LIMIT $4::int
  )
  SELECT c.id::float8 AS id, c.event_id::float8 AS "eventId", c.attempt_count AS "attemptCount",
    c.budget_from AS "budgetFrom", c.due_at::float8 AS "dueAt", c.retries, c.tried, e.body
  FROM (SELECT * FROM fresh UNION ALL SELECT * FROM again) c
  CROSS JOIN LATERAL (SELECT body FROM events WHERE events.id = c.event_id LIMIT 1) e
  UNION ALL
  SELECT NULL, NULL, 0, 0, CASE WHEN $4::int > 0 THEN
    (SELECT min(due_at) FROM queue WHERE webhook_id = $1 AND tried AND due_at > $7::bigint) END::float8, 0, true, NULL`;

interface ClaimRow {
  id: number | null;
  eventId: number;
  attemptCount: number;
  budgetFrom: number;
  dueAt: number | null;
  retries: number;
  tried: boolean;
  body: string;
}

/** Reads what a webhook has pending, and claims it, where the webhook is this daemon's to send to. */
export function createClaimReader(
  { worker }: PostgresDatabase,
  { claims, partitions, clock }: ClaimReaderParts,
): (request: ClaimRequest) => Promise<Claim> {
  return async (request) => {
    const { webhookId, fresh: wantedFresh, again: wantedAgain } = request;
    const epoch = partitions.epochFor(webhookId);
    const found: Claim = {
      fresh: [],
      again: [],
      moreFresh: false,
      moreAgain: false,
      nextDueAt: wantedAgain > 0 ? Number.POSITIVE_INFINITY : null,
    };
    if (epoch === null) return found;
    const reading = claims.beginReading(webhookId);
    try {
      const rows = await worker.query<ClaimRow>(CLAIM, [
        webhookId,
        wantedFresh,
        claims.ids(webhookId),
        wantedAgain,
        Math.min(request.dueBy, Number.MAX_SAFE_INTEGER),
        Math.min(request.triedBefore, Number.MAX_SAFE_INTEGER),
        Math.min(request.dueBy, clock.schedule()),
      ]);
      // Meanwhile it may have become another daemon's.
      if (partitions.epochFor(webhookId) !== epoch) return found;
      let fresh = 0;
      let again = 0;
      for (const { id, dueAt, retries, tried, ...row } of rows) {
        if (id === null) {
          if (wantedAgain > 0) found.nextDueAt = dueAt ?? Number.POSITIVE_INFINITY;
          continue;
        }
        if (tried) again += 1;
        else fresh += 1;
        if (claims.get(webhookId, id)) continue;
        if (!reading.isSure(id)) {
          found[tried ? "moreAgain" : "moreFresh"] = true;
          continue;
        }
        claims.add(webhookId, id, { epoch, retries });
        const delivery: ClaimedDelivery = { id, webhookId, ...row, dueAt: tried ? (dueAt ?? 0) : 0 };
        (tried ? found.again : found.fresh).push(delivery);
      }
      // Of what was not asked for there may be any number.
      found.moreFresh ||= fresh === wantedFresh;
      found.moreAgain ||= wantedAgain > 0 && again === wantedAgain;
      return found;
    } finally {
      reading.end();
    }
  };
}
