import type { IdSource } from "../../ids.ts";
import type { StoreDatabase } from "./database.ts";
import type { ExternalIds } from "./external-ids.ts";
import { prepareDeliveryInsert } from "./new-deliveries.ts";
import type { WebhookLog } from "./webhook-log.ts";

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
  /** How many deliveries were made: one for each of `webhookIds`, unless it is a duplicate. */
  deliveries: number;
}

export interface EventStore {
  /**
   * Stores a batch in one transaction: when it returns, all of it survives a kill of the process, and a power
   * cut once the database's `whenDurable` has called back; when it throws, none was stored.
   */
  insertEvents(batch: readonly NewEvent[], dueAt: number): StoredEvent[];
}

export function createEventStore(
  database: StoreDatabase,
  { externalIds, webhookLog }: { externalIds: ExternalIds; webhookLog: WebhookLog },
  nextId: IdSource,
): EventStore {
  const { sqlite } = database;
  const insertEvent = sqlite.prepare(
    "INSERT INTO events (id, organization_id, external_id, type, body, received_at) VALUES (?, ?, ?, ?, ?, ?)",
  );
  const insertDeliveries = prepareDeliveryInsert(sqlite);

  const insertOne = (event: NewEvent): StoredEvent => {
    const { organizationId, externalId, type, body, receivedAt, webhookIds } = event;
    const eventId = nextId(1 + webhookIds.length);
    if (externalId !== null) {
      const first = externalIds.claim({ id: eventId, organizationId, externalId });
      if (first !== null) return { event, eventId: first, duplicate: true, deliveries: 0 };
    }
    insertEvent.run(eventId, organizationId, externalId, type, body, receivedAt);
    return { event, eventId, duplicate: false, deliveries: webhookIds.length };
  };

  const insertAll = (batch: readonly NewEvent[], dueAt: number): StoredEvent[] => {
    const stored = batch.map((event) => insertOne(event));
    insertDeliveries(stored, dueAt);
    return stored;
  };

  return {
    insertEvents(batch, dueAt) {
      externalIds.load();
      let stored: StoredEvent[];
      try {
        stored = webhookLog.transaction((takeIn) => {
          const inserted = insertAll(batch, dueAt);
          webhookLog.grew(inserted.reduce((sum, { deliveries }) => sum + deliveries, 0));
          if (webhookLog.isWorthwhile(batch.length)) takeIn();
          return inserted;
        });
      } catch (error) {
        externalIds.rolledBack();
        throw error;
      }
      externalIds.committed();
      return stored;
    },
  };
}
