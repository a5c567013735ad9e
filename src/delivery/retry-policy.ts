import pRetry from "p-retry";

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

/**
 * An attempt that failed, as p-retry is told of it: it retries only what it takes for a network error, or an Error
 * that is no TypeError.
 */
class AttemptFailed extends Error {}

/**
 * Asks p-retry for the pause before the next attempt, in milliseconds, when `made` attempts of the present budget
 * were made before the one that has failed. Only its backoff is used: it sleeps through nothing and calls nothing
 * again, as the scheduler alone decides when an attempt begins.
 */
export async function backoff(policy: RetryPolicy, made: number): Promise<number> {
  let pause = 0;
  const fail = (): never => {
    throw new AttemptFailed();
  };
  await pRetry(fail, {
    ...remainingRetries(policy, made),
    onFailedAttempt: ({ retryDelay }) => {
      pause = retryDelay;
    },
    shouldRetry: () => false,
  }).catch((error) => {
    if (!(error instanceof AttemptFailed)) throw error;
  });
  return pause;
}

/** How long all retries of a delivery take, without jitter, in milliseconds. */
export function spanOf({ attempts, minDelay, factor, maxDelay }: RetryPolicy): number {
  let span = 0;
  for (let made = 0; made < attempts - 1; made += 1) span += Math.min(minDelay * factor ** made, maxDelay);
  return span;
}
