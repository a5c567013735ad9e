/**
 * How many requests may be in flight to one webhook. As in TCP Vegas, the latency of a round (as many answers as there
 * may be requests in flight) is compared with the least that was seen: while answers come about as fast as ever, the
 * window grows; when they slow down, as they do once the receiver is busy, it is halved. Of a round the fastest answer
 * counts, since a pause of our own slows down any other. A failure halves the window; a receiver that does not answer
 * at all gets one request. Times are milliseconds.
 */
export interface Window {
  size: number;
  /** Up to this it grows by one with each success, which doubles it in a round; then by one a round. */
  threshold: number;
  /** The least latency that was seen, forgotten slowly: receivers move. */
  least: number;
  /** The present round: of how many answers it is, how many came, and the fastest. */
  round: { of: number; answers: number; fastest: number };
  /** Monotonic; answers to what began before this say nothing of the present size. */
  changedAt: number;
  /** Monotonic moment of the latest forgetting. */
  forgotAt: number;
}

/** Small, so that many hanging webhooks cost few requests before their first timeout. */
export const FIRST_WINDOW = 1;
/** Latencies up to this many times the least, and so many milliseconds more, are as fast as before: our own queues waver too. */
const TOLERATED_TIMES = 2;
const TOLERATED_MS = 10;
/** Of fewer answers the fastest may be slow by chance. */
const SHORTEST_ROUND = 8;
const FORGET_AFTER_MS = 30_000;
const FORGET_BY = 1.25;

export function createWindow(): Window {
  return {
    size: FIRST_WINDOW,
    threshold: Number.POSITIVE_INFINITY,
    least: Number.POSITIVE_INFINITY,
    round: newRound(FIRST_WINDOW),
    changedAt: 0,
    forgotAt: 0,
  };
}

/** The whole requests that it allows. */
export function sizeOf({ size }: Window): number {
  return Math.floor(size);
}

/**
 * A request that began at `startedAt` was answered well at `now`. `isCostly`: each request more would need a
 * connection more, which costs so much that it is not opened in a hurry.
 */
export function noteAnswer(
  window: Window,
  startedAt: number,
  now: number,
  max: number,
  isCostly = false,
): void {
  const latency = now - startedAt;
  if (now - window.forgotAt > FORGET_AFTER_MS) {
    if (window.forgotAt > 0) window.least *= FORGET_BY;
    window.forgotAt = now;
  }
  window.least = Math.min(window.least, latency);
  const growth = window.size < window.threshold && !isCostly ? 1 : 1 / window.size;
  window.size = Math.min(max, window.size + growth);
  if (startedAt < window.changedAt) return;
  const { round } = window;
  round.answers += 1;
  round.fastest = Math.min(round.fastest, latency);
  if (round.answers < round.of) return;
  window.round = newRound(window.size);
  if (round.fastest <= window.least * TOLERATED_TIMES + TOLERATED_MS) return;
  window.threshold = Math.max(FIRST_WINDOW, window.size / 2);
  shrinkTo(window, window.threshold, now);
}

/** The receiver answered with a failure. */
export function noteFailedAnswer(window: Window, startedAt: number, now: number): void {
  if (startedAt >= window.changedAt) shrinkTo(window, window.size / 2, now);
}

/** No answer came, or the receiver asked to wait: one at a time. */
export function narrow(window: Window, now: number): void {
  shrinkTo(window, FIRST_WINDOW, now);
}

function newRound(size: number): Window["round"] {
  return { of: Math.max(SHORTEST_ROUND, Math.floor(size)), answers: 0, fastest: Number.POSITIVE_INFINITY };
}

function shrinkTo(window: Window, size: number, now: number): void {
  window.size = Math.max(FIRST_WINDOW, size);
  window.changedAt = now;
  window.round = newRound(window.size);
}
