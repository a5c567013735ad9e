import pRetry from "p-retry";
import { type RetryPolicy, remainingRetries } from "./retry-policy.ts";
import type { AttemptResult } from "./send.ts";

/** Delays up to this long are slept through in memory; for a longer one the row waits in the table. */
export const SLEEP_LIMIT_MS = 30_000;

/** An attempt that failed. p-retry retries only what it takes for a network error, or an Error that is no TypeError: so this. */
export class AttemptFailure extends Error {
  readonly result: AttemptResult;

  constructor(result: AttemptResult) {
    super(result.error ?? "failed");
    this.name = "AttemptFailure";
    this.result = result;
  }
}

export interface RetryOptions {
  policy: RetryPolicy;
  /** Attempts of the present budget that were made before the one that has failed. */
  made: number;
  /** The attempt that has failed: nearly all deliveries succeed at once, and do not pay for being able to retry. */
  failed: AttemptResult;
  /** Aborted to end a sleep between attempts; never during an attempt. */
  signal: AbortSignal;
  /** Waits for a turn and makes one attempt. */
  attempt: () => Promise<AttemptResult>;
  /** Receives each result. For a failure: the delay until the next attempt; answers whether this run should sleep for it. */
  onSuccess: (result: AttemptResult) => void;
  onFailure: (result: AttemptResult, retryDelayMs: number) => boolean;
}

/** Goes on with a delivery whose attempt failed until it is delivered, given up, or left to the table. Rejects only for faults of ours. */
export async function retryDelivery({
  policy,
  made,
  failed,
  signal,
  attempt,
  onSuccess,
  onFailure,
}: RetryOptions): Promise<void> {
  let sleep = false;
  let inHand: AttemptResult | null = failed;
  const tryOnce = async (): Promise<void> => {
    const result = inHand ?? (await attempt());
    inHand = null;
    if (result.error !== null) throw new AttemptFailure(result);
    onSuccess(result);
  };
  try {
    await pRetry(tryOnce, {
      ...remainingRetries(policy, made),
      signal,
      onFailedAttempt: ({ error, retryDelay }) => {
        if (error instanceof AttemptFailure) sleep = onFailure(error.result, retryDelay);
      },
      shouldRetry: ({ error }) => error instanceof AttemptFailure && sleep,
    });
  } catch (error) {
    if (!(error instanceof AttemptFailure) && !signal.aborted) throw error;
  }
}
