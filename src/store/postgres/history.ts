import type { DeliveryStatus } from "../../outcomes.ts";
import { DELIVERED, type DeliveryRow, FAILED, PENDING, toDelivery } from "../common/delivery-row.ts";
import type { Attempt, Delivery, History, ListOptions } from "../history.ts";
import type { PostgresDatabase } from "./database.ts";

/** A question that no index answers alone may take so long. */
const LIMIT_MS = 30_000;

const PENDING_COLUMNS = `webhook_id, id, event_id, ${PENDING}::smallint AS status, attempt_count, due_at AS next_attempt_at,
  last_status, last_error, created_at, NULL::bigint AS finished_at`;
const FINISHED_COLUMNS = `webhook_id, id, event_id, status, attempt_count, NULL::bigint AS next_attempt_at,
  last_status, last_error, created_at, finished_at`;

const SHOWN = `d.id::float8 AS id, d.webhook_id AS "webhookId", w.uuid AS "webhookUuid", d.event_id::float8 AS "eventId",
  coalesce((SELECT type FROM events e WHERE e.id = d.event_id), 0)::int4 AS "eventType", d.status::int4 AS status,
  d.attempt_count AS "attemptCount", d.next_attempt_at::float8 AS "nextAttemptAt", d.last_status AS "lastStatus",
  d.last_error AS "lastError", d.created_at::float8 AS "createdAt", d.finished_at::float8 AS "finishedAt"`;

const IN_QUEUE = (columns: string) =>
  `(SELECT ${columns} FROM queue WHERE webhook_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3)`;
const FINISHED = (columns: string, condition: string) =>
  `(SELECT ${columns} FROM deliveries WHERE webhook_id = $1 AND id < $2 AND ${condition} ORDER BY id DESC LIMIT $3)`;

/** Where the deliveries of a status are. */
const SOURCES: Record<DeliveryStatus | "all", string> = {
  pending: IN_QUEUE(PENDING_COLUMNS),
  delivered: FINISHED(FINISHED_COLUMNS, `status = ${DELIVERED}`),
  failed: FINISHED(FINISHED_COLUMNS, `status = ${FAILED}`),
  all: `${IN_QUEUE(PENDING_COLUMNS)} UNION ALL ${FINISHED(FINISHED_COLUMNS, "true")}`,
};

const list = (source: string): string =>
  `SELECT ${SHOWN} FROM (${source}) d JOIN webhooks w ON w.id = d.webhook_id ORDER BY d.id DESC LIMIT $3`;

/** By the webhooks of the organization, as a delivery is found by its webhook and id. */
const GET = `SELECT ${SHOWN} FROM webhooks w CROSS JOIN LATERAL (
    SELECT ${PENDING_COLUMNS} FROM queue q WHERE q.webhook_id = w.id AND q.id = $2
    UNION ALL SELECT ${FINISHED_COLUMNS} FROM deliveries f WHERE f.webhook_id = w.id AND f.id = $2 LIMIT 1) d
  WHERE w.organization_id = $1`;

/** Of one event ($2), in the order of the webhooks that they go to. */
export const ofEvent = `SELECT ${SHOWN} FROM webhooks w CROSS JOIN LATERAL (
    SELECT ${PENDING_COLUMNS} FROM queue q WHERE q.webhook_id = w.id AND q.event_id = $2
    UNION ALL SELECT ${FINISHED_COLUMNS} FROM deliveries f WHERE f.webhook_id = w.id AND f.event_id = $2) d
  WHERE w.organization_id = $1 ORDER BY d.webhook_id, d.id`;

const ATTEMPTS = `SELECT number, started_at::float8 AS "startedAt", duration_ms AS "durationMs", status, error, detail,
    response_excerpt AS "responseExcerpt" FROM attempts WHERE delivery_id = $2
  UNION ALL SELECT attempt_count, last_started_at::float8, last_duration_ms, last_status, last_error, last_detail, last_excerpt
  FROM deliveries WHERE webhook_id = $1 AND id = $2 AND last_started_at IS NOT NULL ORDER BY 1`;

export function createHistory({ main }: PostgresDatabase): History {
  const get = async (organizationId: number, id: number): Promise<Delivery | null> => {
    const [row] = await main.slowQuery<DeliveryRow>(LIMIT_MS, GET, [organizationId, id]);
    return row ? toDelivery(row) : null;
  };

  return {
    async list({ webhookId, status, beforeId, limit }: ListOptions) {
      const rows = await main.slowQuery<DeliveryRow>(LIMIT_MS, list(SOURCES[status ?? "all"]), [
        webhookId,
        beforeId ?? Number.MAX_SAFE_INTEGER,
        limit + 1,
      ]);
      const page = rows.slice(0, limit);
      return {
        deliveries: page.map(toDelivery),
        nextBeforeId: rows.length > limit ? (page.at(-1)?.id ?? null) : null,
      };
    },
    get,
    async detail(organizationId, id) {
      const delivery = await get(organizationId, id);
      if (!delivery) return null;
      const [event] = await main.query<{ body: string }>("SELECT body FROM events WHERE id = $1", [
        delivery.eventId,
      ]);
      const attempts = await main.query<Attempt>(ATTEMPTS, [delivery.webhookId, id]);
      return { delivery, payload: event?.body ?? "null", attempts: [...attempts] };
    },
  };
}
