import { searchAt } from "./breaker.ts";
import { readyAt } from "./pace.ts";
import type { WebhookQueue } from "./webhook-queue.ts";
import { sizeOf } from "./window.ts";

/**
 * What a webhook sends next. `first`: the oldest that never failed; `probe`: the newest that never failed, since what
 * was refused lately is at the front; `retry`: what failed before and is due; `search`: what is not due yet, to see
 * whether a receiver is back; `fetch`: memory is to be filled from the store. Or nothing: until `wait` (in
 * milliseconds from now), or until an attempt ends or something arrives when that is infinite.
 */
export type Choice = "first" | "probe" | "retry" | "search" | "fetch" | { wait: number };

/** Beside deliveries that never failed, retries get so many of a window's requests, and so many of the turns. */
const RETRY_SHARE = 4;

const NOTHING: Choice = { wait: Number.POSITIVE_INFINITY };

/** `now` is schedule time, `monotonic` the moment of the monotonic clock. Pure. */
export function choose(queue: WebhookQueue, now: number, monotonic: number): Choice {
  const { breaker, inFlight, retriesInFlight, pace, waiting, retries } = queue;
  // Before all else, so that it is known what there is to send, and to group.
  if (mayFetch(queue, now)) return "fetch";
  const paced = readyAt(pace) - monotonic;
  if (paced > 0) return { wait: paced };
  if (inFlight >= limitOf(queue)) return NOTHING;
  if (breaker.isOpen) return chooseWhileOpen(queue, now);
  const mayRetry = retries.length > 0 && breaker.retryAt <= now;
  if (waiting.length > 0) {
    const share = Math.max(1, Math.floor(sizeOf(queue.window) / RETRY_SHARE));
    return mayRetry && retriesInFlight < share && queue.starts % RETRY_SHARE === 0 ? "retry" : "first";
  }
  return mayRetry ? "retry" : searchOrRest(queue, now);
}

function chooseWhileOpen(queue: WebhookQueue, now: number): Choice {
  const { breaker, waiting, retries, inFlight, retriesInFlight } = queue;
  if (waiting.length > 0 && inFlight === retriesInFlight && now >= breaker.probeAt) return "probe";
  if (retries.length > 0 && retriesInFlight === 0 && now >= breaker.retryAt) return "retry";
  return searchOrRest(queue, now);
}

/** Memory is filled when there is room in the time to come: what a resting webhook has waits in the store. */
function mayFetch(queue: WebhookQueue, now: number): boolean {
  const { breaker } = queue;
  if (queue.isFetching) return false;
  if (queue.hasBacklog && queue.waiting.length === 0 && (!breaker.isOpen || breaker.probeAt <= now))
    return true;
  return queue.hasDueRetries && queue.retries.length === 0 && breaker.retryAt <= now;
}

/** Nothing that is due may go now: whether to look for the receiver with what is not due yet, or until when to wait. */
function searchOrRest(queue: WebhookQueue, now: number): Choice {
  const { breaker, retries, waiting, inFlight, isFetching } = queue;
  const moments: number[] = [];
  if (breaker.isOpen && (waiting.length > 0 || queue.hasBacklog)) moments.push(breaker.probeAt);
  if (retries.length > 0 || queue.hasDueRetries) moments.push(breaker.retryAt);
  // Looked for only when nothing else would tell, and when there is something to look with.
  if (waiting.length + retries.length + inFlight === 0 && Number.isFinite(queue.nextDueAt)) {
    const at = searchAt(breaker);
    if (at <= now && !isFetching) return "search";
    moments.push(at);
  }
  return { wait: Math.min(...moments.filter((at) => at > now)) - now };
}

/** One first try and one retry while it is failing, otherwise what the window says. */
function limitOf({ breaker, window }: WebhookQueue): number {
  return breaker.isOpen ? 2 : sizeOf(window);
}
