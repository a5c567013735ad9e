import type { AttemptOutcome, DeliveryObserver } from "./delivery/observer.ts";
import type { WebhookSettings } from "./delivery/settings.ts";
import { messageOf } from "./errors.ts";
import { timeOfId } from "./ids.ts";
import { createLineForm, type LineForm, type Logger, quote } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { OutcomeStream } from "./outcome-stream.ts";
import type { DisabledReason } from "./outcomes.ts";
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
  onDisabled: (
    webhook: { id: string; name: string | null; organizationId: string },
    reason: DisabledReason,
  ) => void;
}

export interface Observer extends DeliveryObserver {
  /** A webhook was made, changed or removed by its owner, or given up by the daemon, for a reason. */
  webhookChanged(
    organizationUuid: string,
    webhook: WebhookLabel,
    what: { change: WebhookChange; reason?: DisabledReason },
  ): void;
  faultOf(what: string): (error: unknown) => void;
}

export type WebhookChange = "created" | "updated" | "deleted" | "disabled";

/** What attempts may come to that lines are kept for: receivers answer alike for long. */
const MAX_FORMS = 256;

/** The lines that tell of attempts that came to the same, whoever was sent to. */
interface Forms {
  record: Outcome;
  made: LineForm;
  finished: LineForm;
}

type Outcome = Pick<AttemptRecord, "number" | "httpStatus" | "error" | "detail" | "status">;

/** A webhook as lines name it: alone, and with the host of its receiver. */
interface Names {
  webhook: Uint8Array;
  withHost: Uint8Array;
}

function namesOf({ uuid, name, organizationUuid, target }: WebhookSettings): Names {
  const called = name === null ? "" : `,"webhook_name":${quote(name)}`;
  const webhook = `,"webhook_id":"${uuid}"${called},"organization_id":"${organizationUuid}"`;
  const withHost = Buffer.from(`${webhook},"host":${target.logHost}`);
  return { webhook: withHost.subarray(0, Buffer.byteLength(webhook)), withHost };
}

function isSame(a: Outcome, b: Outcome): boolean {
  return (
    a.number === b.number &&
    a.httpStatus === b.httpStatus &&
    a.error === b.error &&
    a.detail === b.detail &&
    a.status === b.status
  );
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

  const names = new WeakMap<WebhookSettings, Names>();
  const forms = new Map<string, Forms>();
  let latest: Forms | null = null;

  const formsOf = (record: Outcome): Forms => {
    const { number, httpStatus, error, detail, status } = record;
    const key = JSON.stringify([number, httpStatus, error, detail, status]);
    const known = forms.get(key);
    if (known) return known;
    const outcome = `,"attempt":${number},"status":${httpStatus},"error":${error && `"${error}"`}${detail === null ? "" : `,"detail":${quote(detail)}`},"duration_ms":`;
    const lineOf = (message: string, end: string) =>
      createLineForm(message, ["event_id", "delivery_id"], { end, writeId: store.ids.write });
    const made = {
      record: { number, httpStatus, error, detail, status },
      made: lineOf("attempt made", outcome),
      finished: lineOf("delivery finished", `,"status":"${status}","attempts":`),
    };
    forms.set(key, made);
    if (forms.size > MAX_FORMS) forms.delete(forms.keys().next().value as string);
    return made;
  };

  const write = (outcome: AttemptOutcome): void => {
    const { webhook, record } = outcome;
    // Nearly always the same again: its key need not be made.
    if (latest === null || !isSame(latest.record, record)) latest = formsOf(record);
    let named = names.get(webhook);
    if (!named) {
      named = namesOf(webhook);
      names.set(webhook, named);
    }
    log.fill(latest.made, outcome, named.withHost, record.durationMs);
    if (record.status !== "pending") log.fill(latest.finished, outcome, named.webhook, record.number);
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
