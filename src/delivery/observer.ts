import type { DisabledReason } from "../outcomes.ts";
import type { AttemptRecord } from "../store/delivery-queue.ts";
import type { WebhookLabel } from "../store/webhooks.ts";
import type { WebhookSettings } from "./settings.ts";

/** Told of what happens, after it is written; the daemon turns it into logs, metrics and notices. */
export interface DeliveryObserver {
  attempted(outcome: AttemptOutcome): void;
  disabled(webhook: WebhookSettings, reason: DisabledReason, failureCount: number): void;
  /** Pending deliveries that ended without an attempt, because their webhook was disabled or deleted. */
  ended(webhook: WebhookLabel, count: number): void;
  /** A fault of ours. */
  fault(what: string, error: unknown): void;
}

export interface AttemptOutcome {
  webhook: WebhookSettings;
  deliveryId: number;
  eventId: number;
  record: AttemptRecord;
  /** Whether the webhook is on still. */
  isOn: boolean;
  /** The webhook's failures in a row before and after this attempt. */
  failures: { before: number; after: number };
}
