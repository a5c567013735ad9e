import type { Database } from "bun:sqlite";
import { PENDING } from "./schema.ts";

/** Events that were stored one after another, with no others between them, and go to the same webhooks. */
export interface NewDeliveries {
  firstEventId: number;
  lastEventId: number;
  /** Not empty. */
  webhookIds: readonly number[];
  /** Schedule time. */
  dueAt: number;
}

/** The ids of an event's deliveries follow its own, in the order of their webhooks. */
export function deliveryIdOf(eventId: number, position: number): number {
  return eventId + 1 + position;
}

/**
 * Gives every event of a run its deliveries; part of a transaction. They are made of the events' own rows by one
 * statement: half as long as giving each one's values, which leaves garbage too.
 */
export function prepareDeliveryInsert(sqlite: Database): (deliveries: NewDeliveries) => void {
  const into = "INSERT INTO deliveries (id, webhook_id, event_id, status, next_attempt_at, created_at)";
  const toOne = sqlite.prepare<void, [number, number, number, number]>(
    `${into} SELECT id + 1, ?1, id, ${PENDING}, ?2, received_at FROM events WHERE id BETWEEN ?3 AND ?4`,
  );
  const toMany = sqlite.prepare<void, [string, number, number, number]>(
    `${into} SELECT e.id + 1 + w.key, w.value, e.id, ${PENDING}, ?2, e.received_at
     FROM events e CROSS JOIN json_each(?1) w WHERE e.id BETWEEN ?3 AND ?4`,
  );
  return ({ firstEventId, lastEventId, webhookIds, dueAt }) => {
    const [only] = webhookIds;
    if (webhookIds.length === 1) toOne.run(only as number, dueAt, firstEventId, lastEventId);
    else toMany.run(JSON.stringify(webhookIds), dueAt, firstEventId, lastEventId);
  };
}
