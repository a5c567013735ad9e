import type { AttemptOutcome, DeliveryObserver } from "./delivery/observer.ts";
import { messageOf } from "./errors.ts";
import { timeOfId } from "./ids.ts";
import { createLineForm, ID_HOLE, type LineForm, type Logger, quote } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { OutcomeStream } from "./outcome-stream.ts";
import type { AttemptRecord } from "./store/delivery-queue.ts";
import { isStoreFault } from "./store/faults.ts";
import type { Store } from "./store/store.ts";
import type { WebhookLabel } from "./store/webhooks.ts";

export interface ObserverOptions {
  store: Store;
  log: Logger;
  metrics: Metrics;
  /** Whoever reads along. */
  stream: Pick<OutcomeStream, "isRead" | "tell">;
  /** Told of each attempt and of each webhook that was disabled: failure notices. */
  onAttempt: (outcome: AttemptOutcome) => void;
  onDisabled: (webhook: { id: string; name: string | null; organizationId: string }, reason: string) => void;
}

export interface Observer extends DeliveryObserver {
  /** A webhook was made, changed or removed by its owner, or given up by the daemon, for a reason. */
  webhookChanged(
    organizationUuid: string,
    webhook: WebhookLabel,
    what: { change: WebhookChange; reason?: string },
  ): void;
  faultOf(what: string): (error: unknown) => void;
}

export type WebhookChange = "created" | "updated" | "deleted" | "disabled";

/** Webhooks whose lines are kept: with ten thousand of them it is the lines that would take most of the memory. */
const MAX_FORMS = 1_024;

/** The lines that tell of attempts of one webhook that came to the same: receivers answer alike for long. */
interface Forms extends Pick<AttemptRecord, "number" | "httpStatus" | "error" | "detail" | "status"> {
  /** As they stand in the lines. */
  host: string;
  name: string | null;
  made: LineForm;
  finished: LineForm;
}

function nameField(name: string | null): string {
  return name === null ? "" : `,"webhook_name":${inForm(name)}`;
}

/** Text that others chose, quoted: it must not look like the hole that an id is put in. */
function inForm(text: string): string {
  return quote(text).replaceAll("?", "\\u003f");
}

/** Turns what the delivery engine does into logs and metrics. A receiver's 500 is an outcome, not an error of ours. */
export function createObserver(options: ObserverOptions): Observer {
  const { store, log, metrics, stream } = options;

  const tell = ({ webhook, eventId, deliveryId, record }: AttemptOutcome): void => {
    const { uuid: webhook_id, organizationUuid } = webhook;
    const { number, httpStatus, error, detail, durationMs: duration_ms, status } = record;
    const idsOf = () => ({ event_id: store.ids.format(eventId), webhook_id });
    stream.tell(organizationUuid, "attempt", () => {
      const delivery_id = store.ids.format(deliveryId);
      const made = { delivery_id, ...idsOf(), number, status: httpStatus, error, detail, duration_ms };
      return JSON.stringify(made);
    });
    if (status === "pending") return;
    stream.tell(organizationUuid, "delivery", () =>
      JSON.stringify({ id: store.ids.format(deliveryId), ...idsOf(), status, attempt_count: number }),
    );
  };

  const webhookChanged: Observer["webhookChanged"] = (organizationUuid, { uuid, name }, change) =>
    stream.tell(organizationUuid, "webhook", () =>
      JSON.stringify({ id: uuid, ...(name !== null && { name }), ...change }),
    );

  const fault = (what: string, error: unknown): void => {
    // A store that cannot write has said so once; a line for every refused batch would help to fill the disk.
    if (isStoreFault(error) && store.fault() !== null) return;
    metrics.faults.inc();
    log.error("fault", { where: what, error: messageOf(error) });
  };

  const count = ({ record, deliveryId }: AttemptOutcome): void => {
    metrics.attemptDuration.observe(record.durationMs / 1000);
    metrics.attempts.add(record.error ?? "success");
    if (record.status === "delivered") {
      metrics.finished.add("delivered");
      metrics.eventToDelivery.observe(Math.max(0, store.clock.schedule() - timeOfId(deliveryId)) / 1000);
    } else if (record.status === "failed") metrics.finished.add("failed");
  };

  const forms = new Map<string, Forms>();

  const formsOf = ({ webhook, target, record }: AttemptOutcome): Forms => {
    const { number, httpStatus, error, detail, status } = record;
    const known = forms.get(webhook.uuid);
    if (
      known &&
      known.host === target.logHost &&
      known.name === webhook.name &&
      known.number === number &&
      known.httpStatus === httpStatus &&
      known.error === error &&
      known.detail === detail &&
      known.status === status
    )
      return known;
    const ids = `,"event_id":"${ID_HOLE}","delivery_id":"${ID_HOLE}","webhook_id":"${webhook.uuid}"${nameField(webhook.name)},"organization_id":"${webhook.organizationUuid}"`;
    const outcome = `,"attempt":${number},"status":${httpStatus},"error":${error && `"${error}"`}${detail === null ? "" : `,"detail":${inForm(detail)}`},"duration_ms":`;
    const end = `,"status":"${status}","attempts":`;
    const made = {
      host: target.logHost,
      name: webhook.name,
      number,
      httpStatus,
      error,
      detail,
      status,
      made: createLineForm("attempt made", `${ids},"host":${target.logHost}${outcome}`, store.ids.write),
      finished: createLineForm("delivery finished", `${ids}${end}`, store.ids.write),
    };
    forms.set(webhook.uuid, made);
    if (forms.size > MAX_FORMS) forms.delete(forms.keys().next().value as string);
    return made;
  };

  const write = (outcome: AttemptOutcome): void => {
    const { made, finished } = formsOf(outcome);
    const { durationMs, status, number } = outcome.record;
    log.fill(made, outcome, durationMs);
    if (status !== "pending") log.fill(finished, outcome, number);
  };

  return {
    attempted: (outcome) => {
      count(outcome);
      if (log.enabled("info")) write(outcome);
      if (stream.isRead(outcome.webhook.organizationUuid)) tell(outcome);
      options.onAttempt(outcome);
    },
    disabled: (webhook, reason, failureCount) => {
      metrics.disabled.inc();
      log.warn("webhook disabled", {
        webhook_id: webhook.uuid,
        ...(webhook.name !== null && { webhook_name: webhook.name }),
        organization_id: webhook.organizationUuid,
        reason,
        failure_count: failureCount,
      });
      const { uuid, name, organizationUuid } = webhook;
      webhookChanged(organizationUuid, webhook, { change: "disabled", reason });
      options.onDisabled({ id: uuid, name, organizationId: organizationUuid }, reason);
    },
    ended: ({ uuid, name }, ended) => {
      metrics.finished.add("failed", ended);
      log.info("deliveries ended", {
        webhook_id: uuid,
        ...(name !== null && { webhook_name: name }),
        status: "failed",
        count: ended,
      });
    },
    webhookChanged,
    fault,
    faultOf: (what) => (error) => fault(what, error),
  };
}
