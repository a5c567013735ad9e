import type { Metrics } from "./metrics.ts";
import type { PruneRound } from "./store/sqlite/retention.ts";
import type { Store } from "./store/sqlite/store.ts";

export interface Pruner {
  start(): void;
  stop(): void;
}

export interface PrunerOptions {
  store: Store;
  retentionMs: number;
  metrics: Metrics;
  onFault: (error: unknown) => void;
}

/** The pause after a step is this many times as long as the step, so that pruning takes a small share of the time. */
const PAUSE_FACTOR = 3;
const MIN_PAUSE_MS = 4;
/** Pause after everything that was old enough is gone. */
const ROUND_PAUSE_MS = 60_000;

/** Removes what is finished and older than the retention, in small steps; what is pending is never touched. */
export function createPruner({ store, retentionMs, metrics, onFault }: PrunerOptions): Pruner {
  const { clock, retention } = store;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let round: PruneRound | null = null;

  // A wall clock that jumps, in whichever direction, must not make anything look older than it is.
  const beginRound = (): PruneRound =>
    retention.beginRound({
      createdBefore: clock.schedule() - retentionMs,
      finishedBefore: Math.min(clock.schedule(), clock.wall()) - retentionMs,
    });

  /** Answers the pause until the next step. */
  const step = (): number => {
    const started = performance.now();
    round ??= beginRound();
    const { deliveries, attempts, events, done } = round.step();
    metrics.pruned.add("deliveries", deliveries);
    metrics.pruned.add("attempts", attempts);
    metrics.pruned.add("events", events);
    if (!done) return Math.max(MIN_PAUSE_MS, PAUSE_FACTOR * (performance.now() - started));
    round = null;
    return roundPause();
  };

  const roundPause = (): number => Math.min(ROUND_PAUSE_MS, retentionMs);

  const tick = (): void => {
    let pause = roundPause();
    try {
      pause = step();
    } catch (error) {
      // What was rolled back is found again by a new round.
      round = null;
      onFault(error);
    }
    timer = setTimeout(tick, pause);
  };

  return {
    start: () => {
      timer = setTimeout(tick, Math.min(1_000, retentionMs));
    },
    stop: () => clearTimeout(timer),
  };
}
