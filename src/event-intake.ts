import type { Worker } from "./delivery/worker.ts";
import type { IngestEvent, IngestOrganization, StoredScan } from "./ingest/events.ts";
import { TIERS } from "./ingest/scan-event.ts";
import { createLineForm, ID_HOLE, type LineForm, type Logger } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { NewEvent, StoredEvent } from "./store/sqlite/events.ts";
import type { Store } from "./store/sqlite/store.ts";

export interface EventIntakeOptions {
  store: Store;
  worker: Pick<Worker, "accept">;
  log: Logger;
  metrics: Metrics;
}

/** The lines that tell of one organization's events. */
interface Forms {
  received: LineForm;
  duplicate: LineForm;
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
    webhookIds: organization.hasAlerts
      ? store.webhooks.subscribers(organization.id, scan.type, scan.body)
      : NOBODY,
  });

  const forms = new WeakMap<IngestOrganization, Forms>();

  const formsOf = (organization: IngestOrganization): Forms => {
    const known = forms.get(organization);
    if (known) return known;
    const fields = `,"event_id":"${ID_HOLE}","organization_id":"${organization.uuid}","deliveries":`;
    const made = {
      received: createLineForm("event received", fields, store.writeId),
      duplicate: createLineForm("duplicate event", fields, store.writeId),
    };
    forms.set(organization, made);
    return made;
  };

  const note = ({ scan, organization }: IngestEvent, stored: StoredEvent): void => {
    if (stored.duplicate) metrics.duplicates.inc();
    else metrics.events.add(TIERS[scan.type] as string);
    if (!log.enabled("info")) return;
    const forms = formsOf(organization);
    log.fill(stored.duplicate ? forms.duplicate : forms.received, stored, stored.deliveries);
  };

  return (batch: readonly IngestEvent[]): StoredScan[] => {
    const stored = store.events.insertEvents(batch.map(toNewEvent), store.clock.schedule());
    // In the turn of the commit, before anything else can look into the table.
    worker.accept(stored);
    return stored.map((event, i) => {
      note(batch[i] as IngestEvent, event);
      return {
        id: store.formatId(event.eventId),
        deliveries: event.deliveries,
        duplicate: event.duplicate,
      };
    });
  };
}
