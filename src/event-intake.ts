import type { Worker } from "./delivery/worker.ts";
import { TIERS } from "./ingest/scan-event.ts";
import type { IngestEvent, StoredScan } from "./ingest/server.ts";
import type { Logger } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { NewEvent, StoredEvent } from "./store/events.ts";
import type { Store } from "./store/store.ts";

export interface EventIntakeOptions {
  store: Store;
  worker: Pick<Worker, "accept">;
  log: Logger;
  metrics: Metrics;
}

const NOBODY: readonly number[] = [];

/** What happens with a batch of events between the socket and its acks: stored, handed to the worker, logged and counted. */
export function createEventIntake({ store, worker, log, metrics }: EventIntakeOptions) {
  const toNewEvent = ({ scan, organization, receivedAt }: IngestEvent): NewEvent => ({
    organizationId: organization.id,
    externalId: scan.externalId,
    type: scan.type,
    body: scan.body,
    receivedAt,
    webhookIds: organization.hasAlerts ? store.webhooks.subscribers(organization.id, scan.type) : NOBODY,
  });

  const note = ({ scan, organization }: IngestEvent, id: string, stored: StoredEvent): void => {
    if (stored.duplicate) metrics.duplicates.inc();
    else metrics.events.add(TIERS[scan.type] as string);
    if (!log.enabled("info")) return;
    log.append(
      "info",
      stored.duplicate ? "duplicate event" : "event received",
      `,"event_id":"${id}","organization_id":"${organization.uuid}","deliveries":${stored.deliveryIds.length}`,
    );
  };

  return (batch: readonly IngestEvent[]): StoredScan[] => {
    const stored = store.events.insertEvents(batch.map(toNewEvent), store.clock.schedule());
    // In the turn of the commit, before anything else can look into the table.
    worker.accept(stored);
    return stored.map((event, i) => {
      const id = store.formatId(event.eventId);
      note(batch[i] as IngestEvent, id, event);
      return { id, deliveries: event.deliveryIds.length, duplicate: event.duplicate };
    });
  };
}
