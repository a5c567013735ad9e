import type { AttemptError } from "../outcomes.ts";

/** Sums over everything, for operators. Every promise rejects with StoreFault when the store cannot be read. */
export interface Overview {
  /** How many deliveries are pending. */
  countPending(): Promise<number>;
  /** The same by webhook id; webhooks without any are left out. */
  pendingByWebhook(): Promise<Map<number, number>>;
  /** Schedule time (clock.ts), milliseconds since 1970, at which the oldest pending delivery of an enabled webhook was created; null when none. */
  oldestPending(): Promise<number | null>;
  /**
   * How many attempts were made since a wall time, by how they failed (null: they succeeded). Deliveries that were
   * created before `horizon` (schedule time) count only while they are pending. May take a second.
   */
  attemptsSince(since: number, horizon: number): Promise<Map<AttemptError | null, number>>;
  /** What the latest failed attempt of each of some webhooks came to; one is left out when its newest deliveries have none. */
  latestFailures(webhookIds: readonly number[]): Promise<Map<number, LatestFailure>>;
  /**
   * Until when (schedule time) the receivers of webhooks have asked to wait, by webhook id; those that have not are
   * left out.
   */
  waitingUntil(): Promise<Map<number, number>>;
  /** Room that the store takes up, in bytes. */
  bytes(): Promise<number>;
}

export interface LatestFailure {
  /** HTTP status, when there was an answer. */
  status: number | null;
  error: AttemptError;
  /** What a person needs to mend it, where status and error do not say it. */
  detail: string | null;
}
