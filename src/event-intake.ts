import type { DeliveryEngine } from "./delivery/engine.ts";
import type { IngestEvent, IngestOrganization, StoredScan } from "./ingest/events.ts";
import type { ScanEvent } from "./ingest/scan-event.ts";
import { createLineForm, type Logger } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { OutcomeStream } from "./outcome-stream.ts";
import { EVENT_TYPES, TIERS, type Tier } from "./scan-words.ts";
import type { AppendedEvent, NewEvent } from "./store/event-log.ts";
import type { Store } from "./store/store.ts";

export interface EventIntakeOptions {
  store: Store;
  engine: Pick<DeliveryEngine, "wants" | "accept">;
  log: Logger;
  metrics: Metrics;
  /** Whoever reads along. */
  stream: Pick<OutcomeStream, "isRead" | "tell">;
}

const NOBODY: readonly number[] = [];

/** What happens with a batch of events between the socket and its acks: stored, handed to the engine, logged and counted. */
export function createEventIntake({ store, engine, log, metrics, stream }: EventIntakeOptions) {
  const toNewEvent = ({ scan, organization, receivedAt }: IngestEvent): NewEvent => ({
    organizationId: organization.id,
    externalId: scan.externalId,
    type: scan.type,
    body: scan.body,
    receivedAt,
    webhookIds: organization.hasAlerts
      ? store.webhooks.subscribers(organization.id, scan.type, scan.body)
      : NOBODY,
  });

  const lineOf = (message: string) =>
    createLineForm(message, ["event_id"], { end: `,"deliveries":`, writeId: store.ids.write });
  const received = lineOf("event received");
  const duplicate = lineOf("duplicate event");
  const named = new WeakMap<IngestOrganization, Uint8Array>();

  /** The organization as its lines name it. */
  const nameOf = (organization: IngestOrganization): Uint8Array => {
    const known = named.get(organization);
    if (known) return known;
    const name = Buffer.from(`,"organization_id":"${organization.uuid}"`);
    named.set(organization, name);
    return name;
  };

  const tell = (scan: ScanEvent, { uuid }: IngestOrganization, stored: AppendedEvent): void => {
    const { externalId: external_id, type } = scan;
    const { eventId, deliveries } = stored;
    stream.tell(uuid, "event", () =>
      JSON.stringify({ id: store.ids.format(eventId), external_id, event: EVENT_TYPES[type], deliveries }),
    );
  };

  const note = ({ scan, organization }: IngestEvent, stored: AppendedEvent): void => {
    if (stored.duplicate) metrics.duplicates.inc();
    else {
      metrics.events.add(TIERS[scan.type] as Tier);
      if (stream.isRead(organization.uuid)) tell(scan, organization, stored);
    }
    if (!log.enabled("info")) return;
    log.fill(stored.duplicate ? duplicate : received, stored, nameOf(organization), stored.deliveries);
  };

  return async (batch: readonly IngestEvent[]): Promise<StoredScan[]> => {
    const { events, claimed } = await store.eventLog.append(batch.map(toNewEvent), engine.wants);
    engine.accept(claimed);
    return events.map((event, i) => {
      note(batch[i] as IngestEvent, event);
      return {
        id: store.ids.format(event.eventId),
        deliveries: event.deliveries,
        duplicate: event.duplicate,
      };
    });
  };
}
