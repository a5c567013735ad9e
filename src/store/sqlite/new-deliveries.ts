import type { Database } from "bun:sqlite";
import { PENDING } from "../common/delivery-row.ts";
import type { AppendedEvent } from "../event-log.ts";

/** The ids of an event's deliveries follow its own, in the order of its webhooks. */
export function deliveryIdOf(eventId: number, position: number): number {
  return eventId + 1 + position;
}

/** Events that were stored one after another, with no others between them, and go to the same webhooks. */
interface Stretch {
  events: AppendedEvent[];
  webhookIds: readonly number[];
}

/** From so many deliveries on, making them of their events is faster than giving the values of each. */
const LONG_STRETCH = 8;

const INTO = "INSERT INTO deliveries (id, webhook_id, event_id, status, next_attempt_at, created_at)";

/** Gives events that were just stored their deliveries; part of the same transaction. */
export function prepareDeliveryInsert(
  sqlite: Database,
): (stored: readonly AppendedEvent[], dueAt: number) => void {
  const insertValues = prepareValuesInsert(sqlite);
  const insertStretch = prepareStretchInsert(sqlite);
  return (stored, dueAt) => {
    // Rows are inserted in the order of their ids, which SQLite does much faster.
    let values: number[] = [];
    for (const { events, webhookIds } of stretchesOf(stored)) {
      if (events.length * webhookIds.length < LONG_STRETCH) {
        for (const { eventId, event } of events) {
          for (let i = 0; i < webhookIds.length; i += 1) {
            const id = deliveryIdOf(eventId, i);
            values.push(id, webhookIds[i] as number, eventId, dueAt, event.receivedAt);
          }
        }
      } else {
        insertValues(values);
        values = [];
        insertStretch({ events, webhookIds }, dueAt);
      }
    }
    insertValues(values);
  };
}

function stretchesOf(stored: readonly AppendedEvent[]): Stretch[] {
  const stretches: Stretch[] = [];
  let stretch: Stretch | undefined;
  for (const one of stored) {
    const { webhookIds } = one.event;
    // What was not stored does not lie between the others.
    if (one.duplicate) continue;
    if (webhookIds.length === 0) stretch = undefined;
    else if (stretch?.webhookIds === webhookIds) stretch.events.push(one);
    else {
      stretch = { events: [one], webhookIds };
      stretches.push(stretch);
    }
  }
  return stretches;
}

function prepareStretchInsert(sqlite: Database): (stretch: Stretch, dueAt: number) => void {
  const toOne = sqlite.prepare<void, [number, number, number, number]>(
    `${INTO} SELECT id + 1, ?1, id, ${PENDING}, ?2, received_at FROM events WHERE id BETWEEN ?3 AND ?4`,
  );
  const toMany = sqlite.prepare<void, [string, number, number, number]>(
    `${INTO} SELECT e.id + 1 + w.key, w.value, e.id, ${PENDING}, ?2, e.received_at
     FROM events e CROSS JOIN json_each(?1) w WHERE e.id BETWEEN ?3 AND ?4`,
  );
  return ({ events, webhookIds }, dueAt) => {
    const first = (events[0] as AppendedEvent).eventId;
    const last = (events.at(-1) as AppendedEvent).eventId;
    if (webhookIds.length === 1) toOne.run(webhookIds[0] as number, dueAt, first, last);
    else toMany.run(JSON.stringify(webhookIds), dueAt, first, last);
  };
}

const ROW = `(?, ?, ?, ${PENDING}, ?, ?)`;
const VALUES_IN_ROW = 5;
/** Rows of one statement. Many at once take little more than half the time of one by one; more than these, or sizes between, gain nothing. */
const ROWS_AT_ONCE = [16, 4, 1] as const;

/** Inserts deliveries (of each its id, webhook, event, schedule time when due, and wall time) in as few statements as that allows. */
export function prepareValuesInsert(sqlite: Database): (values: number[]) => void {
  const statements = ROWS_AT_ONCE.map((rows) => ({
    length: rows * VALUES_IN_ROW,
    insert: sqlite.prepare<void, number[]>(`${INTO} VALUES ${Array(rows).fill(ROW).join(", ")}`),
  }));
  return (values) => {
    let at = 0;
    for (const { length, insert } of statements) {
      for (; at + length <= values.length; at += length) insert.run(...values.slice(at, at + length));
    }
  };
}
