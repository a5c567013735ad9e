import { and, desc, eq, inArray, sql } from "drizzle-orm";
import { EVENT_TYPES, type EventType } from "../../scan-words.ts";
import type { EventHistory, EventOptions, StoredEvent } from "../event-history.ts";
import type { StoreDatabase } from "./database.ts";
import type { EventFeed } from "./event-feed.ts";
import type { ExternalIds } from "./external-ids.ts";
import { promised } from "./faults.ts";
import type { DeliveriesOf } from "./history.ts";
import { events } from "./schema.ts";

interface Parts {
  feed: EventFeed;
  externalIds: Pick<ExternalIds, "load" | "find">;
  deliveriesOf: DeliveriesOf;
}

const ALL_TYPES = EVENT_TYPES.map((_, type) => type);

export function createEventHistory(
  { orm }: StoreDatabase,
  { feed, externalIds, deliveriesOf }: Parts,
): EventHistory {
  const deliveries = sql<number>`(SELECT count(*) FROM deliveries WHERE event_id = events.id)`;
  const select = () => orm.select({ event: events, deliveries }).from(events);

  const idsOf = ({ organizationId, type, externalId, beforeId, limit }: EventOptions): number[] => {
    const before = beforeId ?? Number.MAX_SAFE_INTEGER;
    const types = type === null ? ALL_TYPES : [EVENT_TYPES.indexOf(type)];
    if (externalId === null) return feed.idsBelow(before, { organizationId, types, limit });
    externalIds.load();
    const id = externalIds.find(organizationId, externalId);
    return id !== null && id < before ? [id] : [];
  };

  return {
    list: (options) =>
      promised(() => {
        const { type, limit } = options;
        // One more tells whether there is another page.
        const ids = idsOf({ ...options, limit: limit + 1 });
        const rows = select()
          .where(inArray(events.id, ids.slice(0, limit)))
          .orderBy(desc(events.id))
          .all()
          .map(toEvent);
        return {
          events: rows.filter((event) => type === null || event.type === type),
          nextBeforeId: ids.length > limit ? (ids[limit - 1] ?? null) : null,
        };
      }),
    detail: (organizationId, id) =>
      promised(() => {
        const row = select()
          .where(and(eq(events.id, id), eq(events.organizationId, organizationId)))
          .get();
        return row ? { event: toEvent(row), deliveries: deliveriesOf(id) } : null;
      }),
  };
}

function toEvent({
  event,
  deliveries,
}: {
  event: typeof events.$inferSelect;
  deliveries: number;
}): StoredEvent {
  const { id, externalId, type, receivedAt, body } = event;
  return { id, externalId, type: EVENT_TYPES[type] as EventType, receivedAt, payload: body, deliveries };
}
