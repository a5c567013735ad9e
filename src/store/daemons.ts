/** A daemon that shares the store, as all of them see it. */
export interface DaemonState {
  id: string;
  /** The host that it runs on. */
  name: string;
  version: string;
  /** Whether it takes its share of webhooks: one that is paused does not. */
  sends: boolean;
  /** Parts of all webhooks that it sends to. */
  partitions: number;
  /** Milliseconds since its latest sign of life. */
  beatAgeMs: number;
  /** Milliseconds until its lease runs out, unless it gives another one; below 0 when it has. */
  leaseMs: number;
}

/** The daemons that share a store. */
export interface Daemons {
  /** Parts that all webhooks are shared out in. */
  readonly partitions: number;
  /** Those that are alive, or were a moment ago, by name. Rejects with StoreFault when the store cannot be read. */
  list(): Promise<DaemonState[]>;
  /** Parts that this one holds. */
  held(): number;
}
