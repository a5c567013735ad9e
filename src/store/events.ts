import type { Database } from "bun:sqlite";
import type { StoreDatabase } from "./database.ts";
import { PENDING } from "./schema.ts";

/** One accepted scan event, ready to be stored. */
export interface NewEvent {
  organizationId: number;
  /** The scanner's own id, if it gave one. */
  externalId: string | null;
  /** Position in EVENT_TYPES. */
  type: number;
  /** The payload as it will be sent. */
  body: string;
  /** Wall time in milliseconds. */
  receivedAt: number;
  /** Who gets it. */
  webhookIds: readonly number[];
}

export interface StoredEvent {
  event: NewEvent;
  eventId: number;
  /** True when the organization had sent this external id before: then nothing was stored. */
  duplicate: boolean;
  /** The ids of its deliveries, in the order of `webhookIds`. */
  deliveryIds: readonly number[];
}

export interface EventStore {
  /** Stores a batch in one durable transaction: when it returns, all of it survives a power cut; when it throws, none was stored. */
  insertEvents(batch: readonly NewEvent[], dueAt: number): StoredEvent[];
}

const NONE: readonly number[] = [];

export function createEventStore(database: StoreDatabase, nextId: () => number): EventStore {
  const { sqlite, transaction } = database;
  const insertEvent = sqlite.prepare(
    "INSERT INTO events (id, organization_id, type, body, received_at) VALUES (?, ?, ?, ?, ?)",
  );
  const insertNamed = sqlite.prepare(
    "INSERT INTO events (id, organization_id, external_id, type, body, received_at) VALUES (?, ?, ?, ?, ?, ?) " +
      "ON CONFLICT (organization_id, external_id) WHERE external_id IS NOT NULL DO NOTHING",
  );
  const findEvent = sqlite.prepare<{ id: number }, [number, string]>(
    "SELECT id FROM events WHERE organization_id = ? AND external_id = ?",
  );
  const insertDeliveries = prepareDeliveryInsert(sqlite);

  /** Deliveries are put off until all events are in, as many at once take little more than half the time. */
  const insertOne = (event: NewEvent, dueAt: number, deliveries: DeliveryValues): StoredEvent => {
    const { organizationId, externalId, type, body, receivedAt, webhookIds } = event;
    const eventId = nextId();
    if (externalId === null) insertEvent.run(eventId, organizationId, type, body, receivedAt);
    else if (insertNamed.run(eventId, organizationId, externalId, type, body, receivedAt).changes === 0) {
      const first = findEvent.get(organizationId, externalId);
      return { event, eventId: first?.id ?? eventId, duplicate: true, deliveryIds: NONE };
    }
    if (webhookIds.length === 0) return { event, eventId, duplicate: false, deliveryIds: NONE };
    const deliveryIds: number[] = [];
    for (const webhookId of webhookIds) {
      const deliveryId = nextId();
      deliveries.push(deliveryId, webhookId, eventId, dueAt, receivedAt);
      deliveryIds.push(deliveryId);
    }
    return { event, eventId, duplicate: false, deliveryIds };
  };

  return {
    insertEvents: (batch, dueAt) =>
      transaction("durable", () => {
        const deliveries: DeliveryValues = [];
        const stored = batch.map((event) => insertOne(event, dueAt, deliveries));
        insertDeliveries(deliveries);
        return stored;
      }),
  };
}

/** Values of the columns of one new delivery after another. */
type DeliveryValues = number[];

const COLUMNS = "id, webhook_id, event_id, status, next_attempt_at, created_at";
const ROW = `(?, ?, ?, ${PENDING}, ?, ?)`;
const VALUES_IN_ROW = 5;
const ROWS_AT_ONCE = 16;

function prepareDeliveryInsert(sqlite: Database): (values: DeliveryValues) => void {
  const prepare = (rows: number) =>
    sqlite.prepare<void, number[]>(
      `INSERT INTO deliveries (${COLUMNS}) VALUES ${Array(rows).fill(ROW).join(", ")}`,
    );
  const many = prepare(ROWS_AT_ONCE);
  const one = prepare(1);
  const step = ROWS_AT_ONCE * VALUES_IN_ROW;
  return (values) => {
    let at = 0;
    for (; at + step <= values.length; at += step) many.run(...values.slice(at, at + step));
    for (; at < values.length; at += VALUES_IN_ROW) one.run(...values.slice(at, at + VALUES_IN_ROW));
  };
}
