import type { Metrics } from "./metrics.ts";
import type { Store } from "./store/store.ts";

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

/** Pause between two steps of a few milliseconds each, so that pruning takes a small share of the time. */
const STEP_PAUSE_MS = 20;
/** Pause after everything that was old enough is gone. */
const ROUND_PAUSE_MS = 60_000;

/** Removes what is finished and older than the retention, in small steps; what is pending is never touched. */
export function createPruner({ store, retentionMs, metrics, onFault }: PrunerOptions): Pruner {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let round = store.retention.beginRound(store.clock.schedule() - retentionMs);

  const step = (): void => {
    let pause = Math.min(ROUND_PAUSE_MS, retentionMs);
    try {
      const { deliveries, attempts, events, done } = round.step();
      if (deliveries > 0) metrics.pruned.labels({ table: "deliveries" }).inc(deliveries);
      if (attempts > 0) metrics.pruned.labels({ table: "attempts" }).inc(attempts);
      if (events > 0) metrics.pruned.labels({ table: "events" }).inc(events);
      if (done) round = store.retention.beginRound(store.clock.schedule() - retentionMs);
      else pause = STEP_PAUSE_MS;
    } catch (error) {
      onFault(error);
    }
    timer = setTimeout(step, pause);
  };

  return {
    start: () => {
      round = store.retention.beginRound(store.clock.schedule() - retentionMs);
      timer = setTimeout(step, Math.min(1_000, retentionMs));
    },
    stop: () => clearTimeout(timer),
  };
}
