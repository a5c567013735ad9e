import type { AttemptRecord } from "./store/delivery-queue.ts";

/**
 * An attempt whose delivery failed only because its webhook was given up with it, where that does not hold: the
 * webhook has another receiver by now, which is to get it at once, and the former one's answer uses up no attempt.
 */
export function spared(attempt: AttemptRecord, now: number): AttemptRecord {
  if (!attempt.failsWithWebhook) return attempt;
  return {
    ...attempt,
    status: "pending",
    nextAttemptAt: now,
    finishedAt: null,
    isCharged: false,
    failsWithWebhook: false,
  };
}
