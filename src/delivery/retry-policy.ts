/** When a failed delivery is tried again; durations in milliseconds. */
export interface RetryPolicy {
  /** Attempts per delivery, the first included. */
  attempts: number;
  minDelay: number;
  factor: number;
  maxDelay: number;
  jitter: boolean;
}

/** Options of p-retry for the rest of a delivery's budget, so that its backoff goes on where it was. */
export interface RetryOptions {
  retries: number;
  minTimeout: number;
  factor: number;
  maxTimeout: number;
  randomize: boolean;
}

/** `made` is how many attempts of the present budget were made before. */
export function remainingRetries(policy: RetryPolicy, made: number): RetryOptions {
  return {
    retries: Math.max(0, policy.attempts - made - 1),
    minTimeout: Math.min(policy.minDelay * policy.factor ** made, policy.maxDelay),
    factor: policy.factor,
    maxTimeout: policy.maxDelay,
    randomize: policy.jitter,
  };
}

/** A failing webhook is left alone for at most this long between probes, so that a recovery is soon noticed. */
export const MAX_REST_MS = 60_000;

/**
 * How long a webhook rests after `rounds` failures in a row. One failure may be one event's fault, so the
 * next delivery is tried at once; then the pauses grow like a delivery's own, never past them.
 */
export function restAfter(policy: RetryPolicy, rounds: number): number {
  if (rounds < 2) return 0;
  return Math.min(policy.minDelay * policy.factor ** (rounds - 2), policy.maxDelay, MAX_REST_MS);
}
