import type { DeliveryStatus } from "./outcomes.ts";

/** What an attempt leaves its delivery in (AttemptRecord of the store). */
interface Ended {
  status: DeliveryStatus;
  nextAttemptAt: number | null;
  finishedAt: number | null;
  isCharged: boolean;
  failsWithWebhook: boolean;
}

/**
 * An attempt whose delivery failed only because its webhook was given up with it, where that does not hold: the
 * webhook has another receiver by now, which is to get it at once, and the former one's answer uses up no attempt.
 */
export function spared<Attempt extends Ended>(attempt: Attempt, now: number): Attempt {
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
