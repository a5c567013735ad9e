export interface PruneLimits {
  /** Schedule time (clock.ts), milliseconds since 1970: what was created later stays. */
  createdBefore: number;
  /** Wall time, milliseconds since 1970: what finished later stays. */
  finishedBefore: number;
}

/** What one step has removed. */
export interface PruneStep {
  deliveries: number;
  attempts: number;
  events: number;
  /** Whether everything that is old enough has been looked at. */
  done: boolean;
}

/** One pass over what is older than a moment, from the oldest on. */
export interface PruneRound {
  /**
   * Does a few milliseconds of work. Rejects with StoreFault when the store cannot write: then that step has
   * removed nothing, and what is left is found by a new round.
   */
  step(): Promise<PruneStep>;
}

/**
 * Removes deliveries that have finished, with their attempts, then events that have no delivery left, then deleted
 * webhooks that have none. A pending delivery is never removed, and keeps its event; an event is kept for the
 * retention even when nobody subscribed, to recognise repeats.
 */
export interface Retention {
  /** Rejects with StoreFault when the store cannot be read. To be called while holding the lease `prune`. */
  beginRound(limits: PruneLimits): Promise<PruneRound>;
}
