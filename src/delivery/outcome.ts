import type { Meaning } from "./answer.ts";
import type { RetryPolicy } from "./retry-policy.ts";

/** What is known of a delivery when its attempt has been answered. Times are schedule time, milliseconds. */
export interface Judged {
  createdAt: number;
  /** Attempts of the present budget before this one. */
  made: number;
  /** Whether it was tried before its own schedule has it, as one looked for a receiver or was asked to come again. */
  isEarly: boolean;
  /** When it is due by its own schedule: an early try that fails changes nothing in that. 0 when it never failed. */
  dueAt: number;
  /** Whether the answer counts as a failure although it asks to wait (503 with a time). */
  isFailure: boolean;
  /** Since when this delivery has been answered with 429 alone; null when it has not. */
  refusedSince: number | null;
  /** Latest success of anything sent to the webhook; null when there was none. */
  lastSuccessAt: number | null;
}

/** What an answer makes of a delivery, and of its webhook. */
export interface Outcome {
  state: "delivered" | "pending" | "failed";
  /** Null when finished. */
  nextAttemptAt: number | null;
  /** For one that stays in front: when it is due by its own schedule, whatever its receiver asks for. */
  dueAt?: number;
  /** Whether it uses up one of the delivery's attempts. */
  isCharged: boolean;
  /** Whether it stays in front of its webhook's queue: the receiver has only asked to wait. */
  staysInFront: boolean;
  /** Why the webhook is to be given up; null when it is not. */
  disables: "attempts_exhausted" | "gone" | "rejected" | null;
}

/**
 * Decides what becomes of a delivery. `pause` is what the policy's backoff says for a retry, `waitUntil` the moment
 * until which the receiver has asked to wait.
 */
export function decideOutcome(
  meaning: Meaning,
  judged: Judged,
  {
    policy,
    span,
    pause,
    waitUntil,
    now,
  }: { policy: RetryPolicy; span: number; pause: number; waitUntil: number; now: number },
): Outcome {
  switch (meaning.kind) {
    case "delivered":
      return DELIVERED;
    case "disable":
      return { ...FINISHED, state: "failed", isCharged: true, disables: meaning.reason };
    case "dropped":
      return { ...FINISHED, state: "failed", isCharged: true };
    case "unsent":
      return { ...PENDING, nextAttemptAt: judged.dueAt, isCharged: false, staysInFront: true };
    case "wait": {
      // A receiver that only ever asks to wait is given up like any other, after the same time.
      // One that asks for a second each time, as while it is deployed, uses up no more attempts than one that asks
      // for nothing: those before the delivery's own time are free.
      const isCharged = (judged.isFailure && !judged.isEarly) || now - (judged.refusedSince ?? now) > span;
      if (isCharged && isLast(judged, policy)) return giveUp(judged);
      const dueAt = isCharged ? now + pause : judged.dueAt;
      return { ...PENDING, nextAttemptAt: Math.max(now, waitUntil), dueAt, isCharged, staysInFront: true };
    }
    case "failed":
    case "refused":
      if (judged.isEarly) return { ...PENDING, nextAttemptAt: Math.max(now, judged.dueAt), isCharged: false };
      if (isLast(judged, policy)) return giveUp(judged);
      return { ...PENDING, nextAttemptAt: now + pause, isCharged: true };
  }
}

/** What becomes of nearly all. */
export const DELIVERED: Outcome = {
  state: "delivered",
  nextAttemptAt: null,
  isCharged: true,
  staysInFront: false,
  disables: null,
};
const FINISHED = { nextAttemptAt: null, staysInFront: false, disables: null } as const;
const PENDING = { state: "pending", staysInFront: false, disables: null } as const;

/** Whether the attempt that was made is the last of the budget. */
export function isLast({ made }: Pick<Judged, "made">, { attempts }: RetryPolicy): boolean {
  return made + 1 >= attempts;
}

/** The webhook is given up with its delivery when nothing got through since that was created. */
function giveUp({ createdAt, lastSuccessAt }: Judged): Outcome {
  const isHopeless = lastSuccessAt === null || lastSuccessAt < createdAt;
  return {
    ...FINISHED,
    state: "failed",
    isCharged: true,
    disables: isHopeless ? "attempts_exhausted" : null,
  };
}
