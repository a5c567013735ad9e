/**
 * How fast one webhook is sent to: a configured pace (its own `rate_limit_per_minute`, or the service's), and a
 * pace that was learned from 429s. Times are monotonic milliseconds. Requests are spaced as in GCRA ("generic cell
 * rate algorithm", ITU-T I.371): `nextAt` is when the next request is expected, and a burst may be so much early.
 *
 *                        429                                 time is over
 *   free ────────────────────────────────────▶ paused ─────────────────────▶ learned
 *     ▲                                           ▲                             │ │
 *     │ faster until nothing is left to learn     └──────── 429 again ──────────┘ │
 *     └───────────────────────────────────────────────────────────────────────────┘
 *
 * A 503 with a time, or a pause that a daemon before this one was told, pauses too, and teaches nothing.
 * While a pace is learned, so many successes in a row (`patience`) make it a quarter faster, as TCP probes for
 * room, and the next step comes sooner; a refusal takes the step back and doubles the patience.
 */
export interface Pace {
  /** Milliseconds between requests that are configured; 0 when nothing is. */
  readonly configured: number;
  /** Requests that may go at once at the configured pace. */
  readonly burst: number;
  /** Milliseconds between requests that the receiver has taught; 0 when nothing is. */
  learned: number;
  /** The pace that is known to go through, while a faster one is tried; 0 when none is tried. */
  proven: number;
  /** When the next request is expected. */
  nextAt: number;
  /** No request begins before this. */
  pausedUntil: number;
  /** Refusals in a row. */
  refusals: number;
  /** The busy time since the latest pause or idleness: when it began, and what went through. */
  cycle: { startedAt: number; successes: number };
  /** The one before, which ended with a refusal, and until when that asked to wait. */
  refused: { startedAt: number; until: number; successes: number } | null;
  lastStartAt: number;
  /** Successes in a row at the present pace. */
  streak: number;
  patience: number;
}

export interface PaceLimit {
  perMinute: number;
  burst: number;
}

/** A pace that went through is kept a little slower than it was seen, as clocks and networks waver. */
const MARGIN = 1.02;
/** What is tried first after a burst that was cut off: services that say less mean one a second. */
const COMMON_MS = 1_000 * MARGIN;
const FASTER = 1.25;
/** A step faster than this much slower is still a little slower than what was asked for. */
const SLACK = FASTER * 1.04;
const PATIENCE = 32;
/** What was only guessed, and what has just become faster, is soon made faster still. */
const LEAST_PATIENCE = 8;
const MOST_PATIENCE = 512;
/** A pace this fast is none. */
const FREE_MS = 1;
const SLOWEST_MS = 60_000;
/** Without a time, a refusal asks to wait this long, twice as long with each further one. */
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
/** Timers have a millisecond's grain: at fast paces requests may be so much early. */
const GRAIN_MS = 10;
const FAST_MS = 20;
/** After this long without a request, what went through before says nothing of a burst. */
const IDLE_MS = 2_000;

export function createPace(limit: PaceLimit | null): Pace {
  return {
    configured: limit ? 60_000 / limit.perMinute : 0,
    burst: limit?.burst ?? 1,
    learned: 0,
    proven: 0,
    nextAt: 0,
    pausedUntil: 0,
    refusals: 0,
    cycle: { startedAt: 0, successes: 0 },
    refused: null,
    lastStartAt: Number.NEGATIVE_INFINITY,
    streak: 0,
    patience: PATIENCE,
  };
}

/** The same receiver under another configured pace, which holds at once when it is faster: what it taught stays. */
export function withLimit(pace: Pace, limit: PaceLimit | null): Pace {
  const { configured, burst } = createPace(limit);
  const changed = { ...pace, configured, burst };
  const [before, after] = [intervalOf(pace), intervalOf(changed)];
  if (after >= before || !Number.isFinite(pace.lastStartAt)) return changed;
  // What has gone, a burst ahead of its time also, is waited for at the new pace.
  changed.nextAt = pace.lastStartAt + (pace.nextAt - pace.lastStartAt) * (after / before);
  return changed;
}

/** Milliseconds between requests; 0 when they need not be spaced. */
export function intervalOf({ configured, learned }: Pace): number {
  return Math.max(configured, learned);
}

/** When the next request may begin. */
export function readyAt(pace: Pace): number {
  return Math.max(pace.pausedUntil, pace.nextAt - toleranceOf(pace));
}

/** Whether a further request could begin right after the one that begins now. */
export function allowsMore(pace: Pace, now: number): boolean {
  const interval = intervalOf(pace);
  return interval === 0 || Math.max(now, pace.nextAt) + interval - toleranceOf(pace) <= now;
}

/** Whether the receiver has asked to wait. */
export function isPaused({ pausedUntil }: Pace, now: number): boolean {
  return pausedUntil > now;
}

export function noteStart(pace: Pace, now: number): void {
  const interval = intervalOf(pace);
  if (now - pace.lastStartAt > IDLE_MS + 2 * interval) pace.cycle = { startedAt: now, successes: 0 };
  pace.lastStartAt = now;
  pace.nextAt = Math.max(now, pace.nextAt) + interval;
}

/** `startedAt` is when the request began that was answered now. */
export function noteAccepted(pace: Pace, startedAt: number): void {
  pace.refusals = 0;
  const { refused } = pace;
  if (refused && startedAt < refused.until) {
    // It was in flight when another was refused: more went through than was known.
    refused.successes += 1;
    if (pace.learned > 0 && pace.proven === 0) pace.learned = Math.min(pace.learned, paceOf(refused));
    return;
  }
  pace.cycle.successes += 1;
  pace.streak += 1;
  if (pace.learned === 0 || pace.streak < pace.patience) return;
  pace.streak = 0;
  if (pace.proven > 0) pace.patience = Math.max(LEAST_PATIENCE, pace.patience / 2);
  pace.proven = pace.learned;
  pace.learned /= FASTER;
  if (pace.learned < Math.max(FREE_MS, pace.configured)) Object.assign(pace, { learned: 0, proven: 0 });
}

/** A 429. `waitMs` is the time that it asks for; null when it names none. */
export function noteRefused(pace: Pace, startedAt: number, now: number, waitMs: number | null): void {
  const isLate = pace.refused !== null && startedAt < pace.refused.until;
  if (!isLate) pace.refusals += 1;
  const wait = waitMs ?? Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.max(0, pace.refusals - 1));
  pause(pace, now + wait);
  pace.streak = 0;
  // Sent before the pause was known: it says nothing of the pace.
  if (isLate) return;
  const { startedAt: since, successes } = pace.cycle;
  pace.refused = { startedAt: since, until: pace.pausedUntil, successes };
  if (pace.proven > 0) {
    pace.learned = pace.proven;
    pace.proven = 0;
    pace.patience = Math.min(MOST_PATIENCE, Math.max(PATIENCE, pace.patience * 2));
  } else {
    const isGuess = pace.learned > 0 && successes <= 1;
    pace.learned = Math.min(learn(pace, pace.refused), slowestFor(waitMs));
    pace.patience = isGuess ? LEAST_PATIENCE : PATIENCE;
  }
  pace.cycle = { startedAt: pace.pausedUntil, successes: 0 };
  // The time that was asked for is the whole of the wait.
  pace.nextAt = Math.min(pace.nextAt, pace.pausedUntil);
}

/**
 * One that names a time asks for no more than that between requests; it may refuse for what has nothing to do with
 * their pace, as one of several servers does behind a balancer, and would be sent to ever more slowly.
 */
function slowestFor(waitMs: number | null): number {
  return waitMs === null ? SLOWEST_MS : Math.max(waitMs * MARGIN, COMMON_MS) * SLACK;
}

/** Nothing begins until then. */
export function pause(pace: Pace, until: number): void {
  pace.pausedUntil = Math.max(pace.pausedUntil, until);
}

/** The pace that went through, the time that was asked for included: that is how the limits of most services end. */
function paceOf({ startedAt, until, successes }: NonNullable<Pace["refused"]>): number {
  return (Math.max(0, until - startedAt) / Math.max(1, successes)) * MARGIN;
}

function learn({ learned }: Pace, refused: NonNullable<Pace["refused"]>): number {
  // Refused at once: then the wait was too short, not the pace too fast.
  if (refused.successes === 0) return learned;
  const seen = paceOf(refused);
  // Where little went through, a long wait may be a penalty rather than the pace.
  if (learned === 0) return Math.min(seen, COMMON_MS);
  if (refused.successes <= 1) return Math.min(SLOWEST_MS, learned * 2);
  // After many successes it is nearly right, and time wavers.
  const slower = refused.successes < LEAST_PATIENCE ? learned * FASTER : learned;
  return Math.min(SLOWEST_MS, Math.max(slower, seen));
}

function toleranceOf(pace: Pace): number {
  const interval = intervalOf(pace);
  const burst = pace.learned > pace.configured ? 1 : pace.burst;
  return (burst - 1) * interval + (interval < FAST_MS ? GRAIN_MS : 0);
}
