import type { RetryPolicy } from "./retry-policy.ts";

/**
 * The circuit breaker of one webhook. Times are schedule time.
 *
 *            first tries fail, several in a row            any success
 *   closed ─────────────────────────────────────▶ open ─────────────────▶ closed
 *
 * - closed: deliveries go as the window and the pace allow. A single failure may be one event's fault, so the next
 *   delivery is tried at once; a retry's failure mostly says what is known already.
 * - open: one first try at a time, each after a rest (a probe); what has failed before goes beside it on its own
 *   schedule, one at a time, not more often. Failed probes lengthen the rest, failed retries do not.
 */
export interface Breaker {
  /** First tries that failed in a row; those that began together count once. */
  failures: number;
  /** Retries that failed in a row. */
  retryFailures: number;
  /** Grows with each of these, to tell attempts that began before it from those after. */
  epoch: number;
  isOpen: boolean;
  /** When the first failure came after the latest success; null while all is well. */
  failingSince: number | null;
  /** No probe before this, and no retry before that. */
  probeAt: number;
  retryAt: number;
  /** Whether the latest failure was that nobody answered, or a gateway for the receiver. */
  isAway: boolean;
}

export interface Failure {
  /** The breaker's epoch when the attempt began. */
  epoch: number;
  /** Whether the delivery had never failed before. */
  isFirst: boolean;
  /** Whether the receiver itself answered: then it may be the event's fault. */
  isAnswered: boolean;
}

/** One that answers is given this many chances, as what it refuses may be the events; one that does not, fewer. */
const ANSWERED_LIMIT = 5;
const UNANSWERED_LIMIT = 2;
/** Retries that fail one after another, with nothing getting through between them, say the same in the end. */
const RETRIES_LIMIT = 20;
/** Each failed probe lengthens the rest by so much (less when the policy's own pauses grow less), to this at most, or to this part of the time of failing when that is more. */
const REST_GROWTH = 1.25;
const LONG_REST_MS = 10_000;
const REST_PART = 1 / 300;
const LEAST_REST_MS = 50;
/** For so long a receiver must have been away until it is looked for with deliveries that are not due yet. */
const SEARCH_AFTER_MS = 60_000;

/** `failuresBefore` is how many attempts had failed in a row when the daemon started. */
export function createBreaker(failuresBefore = 0, now = 0): Breaker {
  return {
    failures: failuresBefore,
    retryFailures: 0,
    epoch: 0,
    isOpen: failuresBefore >= ANSWERED_LIMIT,
    failingSince: failuresBefore > 0 ? now : null,
    probeAt: 0,
    retryAt: 0,
    isAway: false,
  };
}

/** Answers for how long the webhook had been failing. */
export function noteSuccess(breaker: Breaker, now: number): number {
  const { failingSince } = breaker;
  // Nearly always all of it is as it should be already.
  if (failingSince === null && !breaker.isOpen) return 0;
  breaker.failures = 0;
  breaker.retryFailures = 0;
  breaker.isOpen = false;
  breaker.isAway = false;
  breaker.failingSince = null;
  breaker.probeAt = 0;
  breaker.retryAt = 0;
  return failingSince === null ? 0 : now - failingSince;
}

export function noteFailure(breaker: Breaker, failure: Failure, now: number, policy: RetryPolicy): void {
  breaker.failingSince ??= now;
  breaker.isAway = !failure.isAnswered;
  if (!failure.isFirst) {
    breaker.retryFailures += 1;
    if (breaker.retryFailures >= RETRIES_LIMIT) breaker.isOpen = true;
    if (breaker.isOpen || breaker.isAway) breaker.retryAt = now + restOf(breaker, now, policy);
    return;
  }
  if (failure.epoch !== breaker.epoch) return;
  breaker.epoch += 1;
  breaker.failures += 1;
  if (breaker.failures >= (failure.isAnswered ? ANSWERED_LIMIT : UNANSWERED_LIMIT)) breaker.isOpen = true;
  if (breaker.isOpen) breaker.probeAt = now + restOf(breaker, now, policy);
}

/** A new target, or one that was turned on again, starts with a clean record. */
export function resetBreaker(breaker: Breaker): void {
  const epoch = breaker.epoch + 1;
  Object.assign(breaker, createBreaker(), { epoch });
}

/**
 * When a delivery that is not due yet may be tried, to see whether the receiver is back: only one that does not
 * answer is looked for like this, as one that answers has said no to those very deliveries. Infinite when not.
 */
export function searchAt(breaker: Breaker): number {
  const { failingSince, isAway, probeAt, retryAt } = breaker;
  if (failingSince === null || !isAway) return Number.POSITIVE_INFINITY;
  return Math.max(failingSince + SEARCH_AFTER_MS, probeAt, retryAt);
}

/** Begins with the policy's first delay; a receiver that was away for an hour is still found within 15 s. */
function restOf({ failures, failingSince }: Breaker, now: number, policy: RetryPolicy): number {
  const first = Math.max(policy.minDelay, LEAST_REST_MS);
  const growth = Math.min(policy.factor, REST_GROWTH);
  const most = Math.max(LONG_REST_MS, (now - (failingSince ?? now)) * REST_PART);
  return Math.min(first * growth ** Math.max(0, failures - ANSWERED_LIMIT), policy.maxDelay, most);
}
