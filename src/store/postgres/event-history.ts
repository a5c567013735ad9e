import { EVENT_TYPES, type EventType } from "../../scan-words.ts";
import { type DeliveryRow, toDelivery } from "../common/delivery-row.ts";
import type { EventHistory, EventOptions, StoredEvent } from "../event-history.ts";
import type { PostgresDatabase } from "./database.ts";
import { ofEvent } from "./history.ts";

/** A question that no index answers alone may take so long. */
const LIMIT_MS = 30_000;

const DELIVERIES = `(SELECT count(*) FROM queue q WHERE q.webhook_id IN (SELECT id FROM webhooks w WHERE w.organization_id = $1)
    AND q.event_id = e.id)::int4 + (SELECT count(*) FROM deliveries d WHERE d.event_id = e.id)::int4`;

const COLUMNS = `e.id::float8 AS id, e.external_id AS "externalId", e.type::int4 AS type,
  e.received_at::float8 AS "receivedAt", e.body AS payload`;

/** The page is chosen before deliveries are counted. */
const page = (condition: string): string =>
  `SELECT ${COLUMNS}, ${DELIVERIES} AS deliveries FROM (
     SELECT * FROM events e WHERE e.organization_id = $1 AND e.id < $2 AND ($3::int IS NULL OR e.type = $3) ${condition}
     ORDER BY e.id DESC LIMIT $4) e ORDER BY e.id DESC`;
const LIST = page("");
const LIST_NAMED = page(
  "AND e.id = (SELECT event_id FROM external_ids WHERE organization_id = $1 AND external_id = $5)",
);

const GET = `SELECT ${COLUMNS}, 0 AS deliveries FROM events e WHERE e.organization_id = $1 AND e.id = $2`;

type EventRow = Omit<StoredEvent, "type"> & { type: number };

export function createEventHistory({ main }: PostgresDatabase): EventHistory {
  return {
    async list({ organizationId, type, externalId, beforeId, limit }: EventOptions) {
      const values = [
        organizationId,
        beforeId ?? Number.MAX_SAFE_INTEGER,
        type === null ? null : EVENT_TYPES.indexOf(type),
        limit + 1,
      ];
      const rows =
        externalId === null
          ? await main.slowQuery<EventRow>(LIMIT_MS, LIST, values)
          : await main.slowQuery<EventRow>(LIMIT_MS, LIST_NAMED, [...values, externalId]);
      const events = rows.slice(0, limit).map(toEvent);
      return { events, nextBeforeId: rows.length > limit ? (events.at(-1)?.id ?? null) : null };
    },
    async detail(organizationId, id) {
      const [row] = await main.slowQuery<EventRow>(LIMIT_MS, GET, [organizationId, id]);
      if (!row) return null;
      const rows = await main.slowQuery<DeliveryRow>(LIMIT_MS, ofEvent, [organizationId, id]);
      return { event: { ...toEvent(row), deliveries: rows.length }, deliveries: rows.map(toDelivery) };
    },
  };
}

function toEvent({ type, ...row }: EventRow): StoredEvent {
  return { ...row, type: EVENT_TYPES[type] as EventType };
}
