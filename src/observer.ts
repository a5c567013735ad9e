import type { AttemptOutcome, DeliveryObserver } from "./delivery/worker.ts";
import { messageOf } from "./errors.ts";
import { timeOfId } from "./ids.ts";
import type { Logger } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { isStoreFault } from "./store/database.ts";
import { DELIVERED, FAILED, PENDING } from "./store/schema.ts";
import type { Store } from "./store/store.ts";

export interface ObserverOptions {
  store: Store;
  log: Logger;
  metrics: Metrics;
  /** Told of each attempt and of each webhook that was disabled: failure notices. */
  onAttempt: (outcome: AttemptOutcome) => void;
  onDisabled: (webhook: { id: string; organizationId: string }, reason: string) => void;
}

/** Turns what the delivery engine does into logs and metrics. A receiver's 500 is an outcome, not an error of ours. */
export function createObserver(
  options: ObserverOptions,
): DeliveryObserver & { faultOf(what: string): (error: unknown) => void } {
  const { store, log, metrics } = options;

  const fault = (what: string, error: unknown): void => {
    // A store that cannot write has said so once; a line for every refused batch would help to fill the disk.
    if (isStoreFault(error) && store.database.fault() !== null) return;
    metrics.faults.inc();
    log.error("fault", { where: what, error: messageOf(error) });
  };

  const count = ({ record, deliveryId }: AttemptOutcome): void => {
    metrics.attemptDuration.observe(record.durationMs / 1000);
    metrics.attempts.add(record.error ?? "success");
    if (record.status === DELIVERED) {
      metrics.finished.add("delivered");
      metrics.eventToDelivery.observe(Math.max(0, store.clock.schedule() - timeOfId(deliveryId)) / 1000);
    } else if (record.status === FAILED) metrics.finished.add("failed");
  };

  const write = ({ lane, target, deliveryId, eventId, record }: AttemptOutcome): void => {
    const ids =
      `,"event_id":"${store.formatId(eventId)}","delivery_id":"${store.formatId(deliveryId)}"` +
      `,"webhook_id":"${lane.webhookUuid}","organization_id":"${lane.organizationUuid}"`;
    const { number, httpStatus, error, durationMs } = record;
    const outcome = `,"attempt":${number},"status":${httpStatus},"error":${error && `"${error}"`},"duration_ms":${durationMs}`;
    log.append("info", "attempt made", `${ids},"host":${target.logHost}${outcome}`);
    if (record.status === PENDING) return;
    const status = record.status === DELIVERED ? "delivered" : "failed";
    log.append("info", "delivery finished", `${ids},"status":"${status}","attempts":${number}`);
  };

  return {
    attempted: (outcome) => {
      count(outcome);
      if (log.enabled("info")) write(outcome);
      options.onAttempt(outcome);
    },
    disabled: (lane, reason) => {
      metrics.disabled.inc();
      log.warn("webhook disabled", {
        webhook_id: lane.webhookUuid,
        organization_id: lane.organizationUuid,
        reason,
        failure_count: lane.failureCount,
      });
      options.onDisabled({ id: lane.webhookUuid, organizationId: lane.organizationUuid }, reason);
    },
    ended: (webhookUuid, ended) => {
      metrics.finished.add("failed", ended);
      log.info("deliveries ended", { webhook_id: webhookUuid, status: "failed", count: ended });
    },
    fault,
    faultOf: (what) => (error) => fault(what, error),
  };
}
