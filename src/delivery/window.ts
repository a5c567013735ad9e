/**
 * How many requests may be in flight to one webhook. As in TCP Vegas, the latency of a round (as many answers as there
 * may be requests in flight) is compared with the least, which is what an answer takes that waits for no other. Of a
 * round the fastest answer counts, since a pause of our own slows down any other.
 *
 * - growing: answers come about as fast as the least.
 * - slow: a round did not, as happens once the receiver is busy. The window is halved each round until one does.
 * - probing: the least may be the latency of a queue of ours, as it has changed or answers were slow. It is measured
 *   with a part of the window, much as BBR does, and may fall.
 *
 * Receivers move, and have nothing to do for some events. So the least falls only to what half of a round took: a few
 * quick answers say nothing of the others. It rises to what answers take once the window is a small part of what it was
 * and they are no faster for that: then it is not our requests that they wait for. A window with no room for this raises
 * it bit by bit, as all that share one busy receiver would otherwise take each other's requests for its distance.
 *
 * A failure halves the window; a receiver that does not answer at all gets one request; one that comes back is as new.
 * All is decided by `noteAnswer` and its kind. Times are milliseconds, moments those of the monotonic clock.
 */
export interface Window {
  size: number;
  /** Up to this it grows by one with each success, which doubles it in a round; then by one a round. */
  threshold: number;
  /** What an answer takes that waits for no other; infinite while nothing is known of it. */
  least: number;
  round: Round;
  /** While slow: the latency and the size of the latest round that halving had helped, or of the first. Otherwise null. */
  slow: { latency: number; size: number } | null;
  /** Answers to what began before this say nothing of the present size. */
  changedAt: number;
  /** Whether the least is being measured, with a part of the window; the size stays as it is. */
  isProbing: boolean;
  /** When that is to begin; infinite while there is no doubt of the least. */
  probeAt: number;
  /** When the least was last raised for want of room. */
  raisedAt: number;
}

interface Round {
  /** Of how many answers it is, and how many came. */
  of: number;
  answers: number;
  fastest: number;
  /** How many were quicker than the least, and what these took together. */
  quicker: number;
  quickerSum: number;
}

/** Small, so that many hanging webhooks cost few requests before their first timeout. */
export const FIRST_WINDOW = 1;
/** Latencies up to this many times the least, and so many milliseconds more, are as fast as before: our own queues waver too. */
const TOLERATED_TIMES = 2;
const TOLERATED_MS = 10;
/** Of fewer answers the fastest may be slow by chance. */
const SHORTEST_ROUND = 8;
/** So soon the least is known at first: while the window doubles, each answer more is measured beside more requests. */
const FIRST_ROUND = 4;
/** Halving should halve the latency; with this part of it or more it has not helped. */
const NO_FASTER = 0.75;
/** This often the window must have been halved in vain. Eight times are too few where twenty webhooks share a busy receiver. */
const SMALL_PART = 1 / 16;
const RAISE_BY = 1.25;
const RAISE_EACH_MS = 10_000;
/** Less would wait for long where some answers take long: what is in flight has to come down to it first. */
const PROBE_PART = 1 / 4;
/** So long, and so many times the least, pass from a doubt to its probe, which takes a few round trips. */
const PROBE_AFTER_MS = 10_000;
const PROBE_AFTER_TIMES = 50;

export function createWindow(): Window {
  return {
    size: FIRST_WINDOW,
    threshold: Number.POSITIVE_INFINITY,
    least: Number.POSITIVE_INFINITY,
    round: newRound(FIRST_ROUND),
    slow: null,
    changedAt: 0,
    isProbing: false,
    probeAt: Number.POSITIVE_INFINITY,
    raisedAt: 0,
  };
}

/** The whole requests that it allows. */
export function sizeOf({ size, isProbing }: Window): number {
  return isProbing ? Math.max(FIRST_WINDOW, Math.floor(size * PROBE_PART)) : Math.floor(size);
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
  if (window.slow === null && !window.isProbing) {
    const growth = window.size < window.threshold && !isCostly ? 1 : 1 / window.size;
    window.size = Math.min(max, window.size + growth);
  }
  if (startedAt < window.changedAt) return;
  const { round } = window;
  const latency = now - startedAt;
  if (latency < window.least) {
    round.quicker += 1;
    round.quickerSum += latency;
  }
  if (latency < round.fastest) round.fastest = latency;
  round.answers += 1;
  if (round.answers >= round.of) endRound(window, now);
}

/** The receiver answered with a failure. */
export function noteFailedAnswer(window: Window, startedAt: number, now: number): void {
  if (startedAt >= window.changedAt) shrinkTo(window, window.size / 2, now);
}

/** No answer came, or the receiver asked to wait: one at a time. */
export function narrow(window: Window, now: number): void {
  shrinkTo(window, FIRST_WINDOW, now);
}

/** It is another receiver, or one that was away: nothing is known of how far it is and how much it takes. */
export function restart(window: Window, now: number): void {
  Object.assign(window, createWindow(), { changedAt: now });
}

function endRound(window: Window, now: number): void {
  const { round, isProbing } = window;
  const { fastest } = round;
  const former = window.least;
  if (round.quicker * 2 >= round.of) window.least = round.quickerSum / round.quicker;
  if (window.least < former && former < Number.POSITIVE_INFINITY) doubt(window, now);
  window.round = newRound(roundOf(window.size));
  if (isProbing) {
    window.isProbing = false;
    window.changedAt = now;
  } else if (isFast(window, fastest)) {
    window.slow = null;
    if (now >= window.probeAt) beginProbe(window, now);
  } else {
    doubt(window, now);
    slowDown(window, fastest, now);
  }
}

/** Of a round the fastest answer was too slow. */
function slowDown(window: Window, latency: number, now: number): void {
  if (window.slow === null || latency < window.slow.latency * NO_FASTER) {
    window.slow = { latency, size: window.size };
  }
  if (window.size <= window.slow.size * SMALL_PART) {
    window.least = latency;
    window.size = window.slow.size;
  } else if (window.size === FIRST_WINDOW && now - window.raisedAt >= RAISE_EACH_MS) {
    window.least *= RAISE_BY;
    window.raisedAt = now;
  }
  if (isFast(window, latency)) {
    // How much it takes is found out as at first.
    window.slow = null;
    window.threshold = Number.POSITIVE_INFINITY;
    window.round = newRound(roundOf(window.size));
  } else {
    window.threshold = Math.max(FIRST_WINDOW, window.size / 2);
    shrinkTo(window, window.threshold, now);
  }
}

function isFast({ least }: Window, latency: number): boolean {
  return latency <= least * TOLERATED_TIMES + TOLERATED_MS;
}

function doubt(window: Window, now: number): void {
  const pause = Math.max(PROBE_AFTER_MS, window.least * PROBE_AFTER_TIMES);
  window.probeAt = Math.min(window.probeAt, now + pause);
}

function beginProbe(window: Window, now: number): void {
  window.isProbing = true;
  window.probeAt = Number.POSITIVE_INFINITY;
  window.changedAt = now;
  window.round = newRound(SHORTEST_ROUND);
}

function roundOf(size: number): number {
  return Math.max(SHORTEST_ROUND, Math.floor(size));
}

function newRound(of: number): Round {
  return { of, answers: 0, fastest: Number.POSITIVE_INFINITY, quicker: 0, quickerSum: 0 };
}

function shrinkTo(window: Window, size: number, now: number): void {
  // At one at a time a round goes on: where some answers fail, it would never end.
  if (window.size === FIRST_WINDOW && size <= FIRST_WINDOW) return;
  window.size = Math.max(FIRST_WINDOW, size);
  window.changedAt = now;
  window.round = newRound(window.isProbing ? SHORTEST_ROUND : roundOf(window.size));
}
