import type { StoreDatabase } from "./database.ts";
import type { ExternalIds } from "./external-ids.ts";
import { type NewDeliveries, prepareDeliveryInsert } from "./new-deliveries.ts";

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
  /**
   * Stores a batch in one transaction: when it returns, all of it survives a kill of the process, and a power
   * cut once the database's `whenDurable` has called back; when it throws, none was stored.
   */
  insertEvents(batch: readonly NewEvent[], dueAt: number): StoredEvent[];
}

const NONE: readonly number[] = [];

export function createEventStore(
  database: StoreDatabase,
  externalIds: ExternalIds,
  nextId: () => number,
): EventStore {
  const { sqlite, transaction } = database;
  const insertEvent = sqlite.prepare(
    "INSERT INTO events (id, organization_id, external_id, type, body, received_at) VALUES (?, ?, ?, ?, ?, ?)",
  );
  const insertDeliveries = prepareDeliveryInsert(sqlite);

  /** Its deliveries are only noted, to be inserted with those of the whole batch. */
  const insertOne = (event: NewEvent, dueAt: number, deliveries: NewDeliveries): StoredEvent => {
    const { organizationId, externalId, type, body, receivedAt, webhookIds } = event;
    const eventId = nextId();
    if (externalId !== null) {
      const first = externalIds.claim({ id: eventId, organizationId, externalId });
      if (first !== null) return { event, eventId: first, duplicate: true, deliveryIds: NONE };
    }
    insertEvent.run(eventId, organizationId, externalId, type, body, receivedAt);
    if (webhookIds.length === 0) return { event, eventId, duplicate: false, deliveryIds: NONE };
    const deliveryIds: number[] = [];
    for (const webhookId of webhookIds) {
      const deliveryId = nextId();
      deliveries.push(deliveryId, webhookId, eventId, dueAt, receivedAt);
      deliveryIds.push(deliveryId);
    }
    return { event, eventId, duplicate: false, deliveryIds };
  };

  const insertAll = (batch: readonly NewEvent[], dueAt: number): StoredEvent[] => {
    const deliveries: NewDeliveries = [];
    const stored = batch.map((event) => insertOne(event, dueAt, deliveries));
    insertDeliveries(deliveries);
    return stored;
  };

  return {
    insertEvents(batch, dueAt) {
      externalIds.load();
      let stored: StoredEvent[];
      try {
        stored = transaction("relaxed", () => insertAll(batch, dueAt));
      } catch (error) {
        externalIds.rolledBack();
        throw error;
      }
      externalIds.committed();
      return stored;
    },
  };
}
