import type { Clock } from "../clock.ts";
import type { Store } from "../store/sqlite/store.ts";
import type { WebhookLabel } from "../store/webhooks.ts";

export interface PendingEndOptions {
  store: Pick<Store, "deliveries" | "webhooks">;
  clock: Clock;
  onEnded: (webhook: WebhookLabel, count: number) => void;
  onFault: (error: unknown) => void;
}

/** Ends as failed what a webhook has pending up to a delivery's id, after it was disabled or deleted. */
export type EndPending = (
  webhookId: number,
  reason: "webhook_disabled" | "webhook_deleted",
  throughId: number,
) => void;

/** A long backlog is ended in steps, so that nobody else waits for it. */
const STEP = 1_000;
const FAULT_PAUSE_MS = 1_000;

export function createPendingEnd({ store, clock, onEnded, onFault }: PendingEndOptions): EndPending {
  const endPending: EndPending = (webhookId, reason, throughId) => {
    try {
      const finishedAt = clock.wall();
      const count = store.deliveries.failPending({ webhookId, reason, finishedAt, throughId, limit: STEP });
      if (count > 0) onEnded(store.webhooks.labelOf(webhookId), count);
      if (count === STEP) setImmediate(endPending, webhookId, reason, throughId);
    } catch (error) {
      onFault(error);
      setTimeout(endPending, FAULT_PAUSE_MS, webhookId, reason, throughId);
    }
  };
  return endPending;
}
