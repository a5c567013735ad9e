/** Where a key stands in its present minute. */
export interface RateLimitState {
  allowed: boolean;
  limit: number;
  remaining: number;
  /** Whole seconds until the minute is over, at least 1. */
  resetSeconds: number;
}

export interface RateLimiter {
  /** Counts one request of a key against its limit. */
  take(keyId: number, limitPerMinute: number): RateLimitState;
}

const WINDOW_MS = 60_000;

/** Fixed windows of one minute, each beginning with a key's first request. `now` is monotonic, in milliseconds. */
export function createRateLimiter(now: () => number): RateLimiter {
  const windows = new Map<number, { endsAt: number; used: number }>();
  return {
    take(keyId, limit) {
      const time = now();
      let window = windows.get(keyId);
      if (!window || window.endsAt <= time) {
        window = { endsAt: time + WINDOW_MS, used: 0 };
        windows.set(keyId, window);
      }
      const allowed = window.used < limit;
      if (allowed) window.used += 1;
      return {
        allowed,
        limit,
        remaining: Math.max(0, limit - window.used),
        // Bounded, as the difference of two sums of fractions may be a little more than a minute.
        resetSeconds: Math.max(1, Math.ceil(Math.min(WINDOW_MS, window.endsAt - time) / 1000)),
      };
    },
  };
}
