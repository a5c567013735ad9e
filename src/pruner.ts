import type { Metrics } from "./metrics.ts";
import type { Lease } from "./store/leases.ts";
import type { PruneRound } from "./store/retention.ts";
import type { Store } from "./store/store.ts";

export interface Pruner {
  start(): void;
  /** Resolves once the step that is under way has ended. */
  stop(): Promise<void>;
}

export interface PrunerOptions {
  store: Pick<Store, "clock" | "leases" | "retention">;
  retentionMs: number;
  metrics: Pick<Metrics, "pruned">;
  onFault: (error: unknown) => void;
}

/** The pause after a step is this many times as long as the step, so that pruning takes a small share of the time. */
const PAUSE_FACTOR = 3;
const MIN_PAUSE_MS = 4;
/** Pause after everything that was old enough is gone. */
const ROUND_PAUSE_MS = 60_000;

/**
 * Removes what is finished and older than the retention, in small steps; what is pending is never touched. One
 * daemon at a time does so, which holds the lease.
 */
export function createPruner({ store, retentionMs, metrics, onFault }: PrunerOptions): Pruner {
  const { clock, leases, retention } = store;
  const roundPause = Math.min(ROUND_PAUSE_MS, retentionMs);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;
  let lease: Lease | null = null;
  let round: PruneRound | null = null;
  let ticking = Promise.resolve();

  // A wall clock that jumps, in whichever direction, must not make anything look older than it is.
  const beginRound = (): Promise<PruneRound> =>
    retention.beginRound({
      createdBefore: clock.schedule() - retentionMs,
      finishedBefore: Math.min(clock.schedule(), clock.wall()) - retentionMs,
    });

  const endRound = async (): Promise<void> => {
    const held = lease;
    round = null;
    lease = null;
    await held?.release();
  };

  /** Resolves with the pause until the next step. */
  const step = async (): Promise<number> => {
    const started = performance.now();
    lease ??= await leases.hold("prune");
    if (!lease?.held()) {
      await endRound();
      return roundPause;
    }
    round ??= await beginRound();
    const { deliveries, attempts, events, done } = await round.step();
    metrics.pruned.add("deliveries", deliveries);
    metrics.pruned.add("attempts", attempts);
    metrics.pruned.add("events", events);
    if (!done) return Math.max(MIN_PAUSE_MS, PAUSE_FACTOR * (performance.now() - started));
    await endRound();
    return roundPause;
  };

  const tick = async (): Promise<void> => {
    let pause = roundPause;
    try {
      pause = await step();
    } catch (error) {
      // What was rolled back is found again by a new round.
      await endRound();
      onFault(error);
    }
    wait(pause);
  };

  const wait = (pause: number): void => {
    if (stopped) return;
    timer = setTimeout(() => {
      ticking = tick();
    }, pause);
  };

  return {
    start: () => wait(Math.min(1_000, retentionMs)),
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await ticking;
      await endRound();
    },
  };
}
