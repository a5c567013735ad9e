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

/**
 * The pause that a receiver asks for, in milliseconds: `Retry-After` as seconds or as an HTTP date
 * (RFC 9110, 10.2.3), at most `max`. Null for anything else, and for a time in the past.
 */
export function parseRetryAfter(value: string | null, now: number, max: number): number | null {
  if (value === null) return null;
  const text = value.trim();
  if (/^\d{1,10}$/.test(text)) return Math.min(Number(text) * 1000, max);
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text)) return null;
  const until = Date.parse(text) - now;
  return until > 0 ? Math.min(until, max) : null;
}
