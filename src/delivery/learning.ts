import type { Meaning } from "./answer.ts";
import type { Attempt } from "./attempt.ts";
import { noteFailure, noteSuccess } from "./breaker.ts";
import { noteAccepted, noteRefused, pause } from "./pace.ts";
import type { RetryPolicy } from "./retry-policy.ts";
import type { WebhookQueue } from "./webhook-queue.ts";
import { narrow, noteAnswer, noteFailedAnswer, restart } from "./window.ts";

/** When an answer came: schedule time, the monotonic clock, and wall time. */
export interface Moment {
  now: number;
  monotonic: number;
  wall: number;
}

export interface LearningOptions {
  policy: RetryPolicy;
  /** Most requests in flight to one webhook. */
  maxWindow: number;
  /** Whether connections are being opened faster than there is processor time for. */
  isRushed: () => boolean;
}

/** What was put off while a receiver was away for at least this long is tried at once when it is back. */
const HASTEN_AFTER_MS = 30_000;

/** Tries that use up no attempt come no more often than this, however short the times are that are asked for. */
const EARLY_PAUSE_MS = 1_000;

/** A gateway says with these that what is behind it did not answer (RFC 9110, 15.6). */
const GATEWAY_STATUSES = new Set([502, 503, 504]);

/**
 * Notes in a webhook's queue what an answer says of its receiver: window, pace, circuit breaker, failures in a row.
 * `status` is null when nobody answered. Answers how it counts among the webhook's failures in a row.
 */
export function learn(
  { queue, settings, startedAt, epoch, isFirst, isEarly }: Attempt,
  meaning: Meaning,
  status: number | null,
  { now, monotonic, wall }: Moment,
  { policy, maxWindow, isRushed }: LearningOptions,
): "success" | "failure" | "neither" {
  if (meaning.kind === "delivered") {
    if (queue.breaker.isOpen && queue.breaker.isAway) restart(queue.window, monotonic);
    // A TLS handshake takes half a millisecond, twenty times what a delivery does (busy.ts).
    noteAnswer(queue.window, startedAt, monotonic, maxWindow, settings.target.secure && isRushed());
    noteAccepted(queue.pace, startedAt);
    queue.failureCount = 0;
    queue.isProven = true;
    queue.lastSuccessAt = now;
    noteBack(queue, now, wall);
    return "success";
  }
  const isBack = meaning.kind === "refused" || meaning.kind === "dropped" || status === 429;
  if (isBack && queue.breaker.isAway) noteBack(queue, now, wall);
  if (meaning.kind === "wait") {
    queue.isProven = true;
    narrow(queue.window, monotonic);
    if (status !== 503) {
      noteRefused(queue.pace, startedAt, monotonic, meaning.milliseconds);
      return "neither";
    }
    pause(queue.pace, monotonic + Math.max(meaning.milliseconds ?? 0, isEarly ? EARLY_PAUSE_MS : 0));
  } else if (meaning.kind === "refused" || meaning.kind === "dropped") {
    queue.isProven = true;
    noteAccepted(queue.pace, startedAt);
  } else if (meaning.kind === "failed") {
    const isAnswered = status !== null && !GATEWAY_STATUSES.has(status);
    if (status === null) narrow(queue.window, monotonic);
    else if (isFirst) noteFailedAnswer(queue.window, startedAt, monotonic);
    noteFailure(queue.breaker, { epoch, isFirst, isAnswered }, now, policy);
  }
  queue.failureCount += 1;
  return "failure";
}

/** The receiver is there: what was put off while nobody answered need not wait for its own time. */
function noteBack(queue: WebhookQueue, now: number, wall: number): void {
  if (noteSuccess(queue.breaker, now) < HASTEN_AFTER_MS) return;
  queue.hastenBefore = wall;
  queue.hasDueRetries = true;
}
