/**
 * Two times. `wall` is what people and receivers read. `schedule` decides when things are due: it runs on
 * the monotonic clock, so that a wall clock that jumps causes neither a storm of attempts nor a stall.
 * Both are in milliseconds since 1970.
 */
export interface Clock {
  wall(): number;
  schedule(): number;
}

/** What a daemon writes down now and then, so that schedule time goes on where it was after a restart. */
export interface ClockState {
  /** Schedule time minus wall time when it was written. */
  offset: number;
  /** The latest schedule time that is known to have been. */
  last: number;
}

export interface ClockSources {
  wall?: () => number;
  monotonic?: () => number;
}

export function createClock(state: ClockState | null, sources: ClockSources = {}): Clock {
  const wall = sources.wall ?? Date.now;
  const monotonic = sources.monotonic ?? (() => performance.now());
  const base = state ? Math.max(wall() + state.offset, state.last) : wall();
  const start = monotonic();
  return {
    wall,
    schedule: () => base + Math.floor(monotonic() - start),
  };
}

/** The state to write down; a forward step of the wall clock while running shows as a negative offset. */
export function clockState(clock: Clock): ClockState {
  const last = clock.schedule();
  return { offset: last - clock.wall(), last };
}

/** Turns a schedule time (as stored in `next_attempt_at`) into the wall time that people expect. */
export function toWall(clock: Clock, scheduled: number): number {
  return scheduled - (clock.schedule() - clock.wall());
}
