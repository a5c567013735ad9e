import type { Attempt } from "../../src/delivery/attempt.ts";
import type { AttemptResult } from "../../src/delivery/send.ts";
import type { WebhookSettings } from "../../src/delivery/settings.ts";
import type { Target } from "../../src/delivery/target.ts";
import { createWebhookQueue, type WebhookQueue } from "../../src/delivery/webhook-queue.ts";
import type { AttemptRecord, ClaimedDelivery } from "../../src/store/delivery-queue.ts";

/** Pieces of the delivery engine, made up, for tests of its parts. */

export const POLICY = { attempts: 12, minDelay: 5_000, factor: 4, maxDelay: 43_200_000, jitter: false };

export function deliveryOf(id: number, fields: Partial<ClaimedDelivery> = {}): ClaimedDelivery {
  return { id, webhookId: 1, eventId: id, body: "{}", attemptCount: 0, budgetFrom: 0, dueAt: 0, ...fields };
}

export function settingsOf(fields: Partial<WebhookSettings> = {}): WebhookSettings {
  return {
    uuid: "webhook",
    name: null,
    organizationId: 1,
    organizationUuid: "organization",
    enabled: true,
    format: "json",
    target: { url: "https://one.example" } as Target,
    targetUntil: Number.POSITIVE_INFINITY,
    pace: null,
    isGrouped: false,
    failureCount: 0,
    lastSuccessAt: null,
    pausedUntil: null,
    ...fields,
  };
}

/** A queue that is loaded and has nothing. */
export function queueOf(fields: Partial<WebhookQueue> = {}): WebhookQueue {
  const queue = createWebhookQueue(fields.webhookId ?? 1);
  return Object.assign(
    queue,
    { settings: settingsOf(), isTakenOver: true, hasBacklog: false, hasDueRetries: false },
    fields,
  );
}

export function attemptOf(queue: WebhookQueue, fields: Partial<Attempt> = {}): Attempt {
  return {
    queue,
    settings: queue.settings as WebhookSettings,
    deliveries: [deliveryOf(1)],
    trust: "proven",
    epoch: queue.breaker.epoch,
    tenure: queue.tenure,
    isFirst: true,
    isEarly: false,
    startedAt: 1_000,
    ...fields,
  };
}

export function resultOf(fields: Partial<AttemptResult> = {}): AttemptResult {
  return {
    startedAt: 5_000,
    durationMs: 7,
    status: 200,
    error: null,
    detail: null,
    meaning: { kind: "delivered" },
    excerpt: null,
    ...fields,
  };
}

/** What is written of a delivery that got through at its first attempt. */
export function recordOf(fields: Partial<AttemptRecord> = {}): AttemptRecord {
  return {
    deliveryId: 1,
    webhookId: 1,
    number: 1,
    startedAt: 1,
    durationMs: 1,
    httpStatus: 200,
    error: null,
    detail: null,
    excerpt: null,
    status: "delivered",
    nextAttemptAt: null,
    finishedAt: 2,
    isCharged: true,
    keepsClaim: false,
    failsWithWebhook: false,
    ...fields,
  };
}
