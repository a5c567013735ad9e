import type { ClaimedDelivery } from "../delivery-queue.ts";
import type { AppendedEvent, EventLog, NewEvent, Wants } from "../event-log.ts";
import type { Claims } from "./claims.ts";
import type { StoreDatabase } from "./database.ts";
import type { EventFeed } from "./event-feed.ts";
import type { ExternalIds } from "./external-ids.ts";
import { promised } from "./faults.ts";
import type { ReservedIds } from "./id-reservation.ts";
import { deliveryIdOf, prepareDeliveryInsert } from "./new-deliveries.ts";
import type { WebhookLog } from "./webhook-log.ts";

export interface SqliteEventLog extends EventLog {
  /** The same in this turn, and nobody takes the deliveries at once. */
  insertEvents(batch: readonly NewEvent[], dueAt: number): AppendedEvent[];
}

export interface EventLogParts {
  externalIds: ExternalIds;
  webhookLog: WebhookLog;
  claims: Claims;
  feed: EventFeed;
}

export function createEventLog(
  database: StoreDatabase,
  { externalIds, webhookLog, claims, feed }: EventLogParts,
  { ids, schedule }: { ids: ReservedIds; schedule: () => number },
): SqliteEventLog {
  const { sqlite } = database;
  const insertEvent = sqlite.prepare(
    "INSERT INTO events (id, organization_id, external_id, type, body, received_at) VALUES (?, ?, ?, ?, ?, ?)",
  );
  const insertDeliveries = prepareDeliveryInsert(sqlite);
  const participants = [webhookLog, externalIds, feed];

  const insertOne = (event: NewEvent): AppendedEvent => {
    const { organizationId, externalId, type, body, receivedAt, webhookIds } = event;
    const eventId = ids.issue(1 + webhookIds.length);
    if (externalId !== null) {
      const first = externalIds.claim({ id: eventId, organizationId, externalId });
      if (first !== null) return { event, eventId: first, duplicate: true, deliveries: 0 };
    }
    insertEvent.run(eventId, organizationId, externalId, type, body, receivedAt);
    return { event, eventId, duplicate: false, deliveries: webhookIds.length };
  };

  const insertAll = (batch: readonly NewEvent[], dueAt: number): AppendedEvent[] => {
    const stored = batch.map((event) => insertOne(event));
    insertDeliveries(stored, dueAt);
    webhookLog.grew(stored.reduce((sum, { deliveries }) => sum + deliveries, 0));
    feed.grew(stored.length);
    if (webhookLog.isWorthwhile(batch.length)) webhookLog.takeIn();
    return stored;
  };

  const insertEvents = (batch: readonly NewEvent[], dueAt: number): AppendedEvent[] => {
    externalIds.load();
    ids.reserve();
    return database.transaction("relaxed", () => insertAll(batch, dueAt), participants);
  };

  const claimNew = (stored: readonly AppendedEvent[], wants: Wants): ClaimedDelivery[] => {
    const claimed: ClaimedDelivery[] = [];
    for (const { event, eventId, deliveries } of stored) {
      for (let i = 0; i < deliveries; i += 1) {
        const webhookId = event.webhookIds[i] as number;
        if (!wants(webhookId, event.body.length)) continue;
        const id = deliveryIdOf(eventId, i);
        claims.addFresh(webhookId, id);
        claimed.push({ id, webhookId, eventId, body: event.body, attemptCount: 0, budgetFrom: 0, dueAt: 0 });
      }
    }
    return claimed;
  };

  return {
    insertEvents,
    append: (batch, wants) =>
      promised(() => {
        const events = insertEvents(batch, schedule());
        // In the turn of the commit: nobody can have looked into the table since.
        return { events, claimed: claimNew(events, wants) };
      }),
    whenDurable: database.whenDurable,
    makeDurable: database.makeDurable,
  };
}
