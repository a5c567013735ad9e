import type { AttemptError, DeliveryStatus, DisabledReason, EndReason } from "../outcomes.ts";
import type { WebhookLabel } from "./webhooks.ts";

/**
 * A pending delivery with all that an attempt needs, in the hands of whoever claimed it: nobody else sends it until
 * its result is recorded or it is released.
 */
export interface ClaimedDelivery {
  readonly id: number;
  readonly webhookId: number;
  readonly eventId: number;
  readonly body: string;
  /** Attempts that were made. */
  readonly attemptCount: number;
  /** Attempts made before the present budget began. */
  readonly budgetFrom: number;
  /** Schedule time at which it is due, 0 when it was never tried. */
  readonly dueAt: number;
}

export interface ClaimRequest {
  webhookId: number;
  /** How many that were never tried, the oldest first. */
  fresh: number;
  /** How many that were tried before, those due for longest first; 0 when none of them can be due. */
  again: number;
  /** Schedule time: of those that were tried before, only what is due by then. */
  dueBy: number;
  /** Wall time: of those that were tried before, only what was last tried before this; infinite for all. */
  triedBefore: number;
}

export interface Claim {
  fresh: ClaimedDelivery[];
  again: ClaimedDelivery[];
  /** Whether there may be more of either that could be claimed now. */
  moreFresh: boolean;
  moreAgain: boolean;
  /** Schedule time at which the next of those that were tried before is due; infinite when there is none, null when none was asked for. */
  nextDueAt: number | null;
}

/** One attempt that was made, and the state it leaves its delivery in. */
export interface AttemptRecord {
  deliveryId: number;
  webhookId: number;
  /** From 1. */
  number: number;
  /** Wall time, milliseconds. */
  startedAt: number;
  durationMs: number;
  httpStatus: number | null;
  error: AttemptError | null;
  /** What a person needs to mend it; null when there is nothing to say. */
  detail: string | null;
  excerpt: string | null;
  status: DeliveryStatus;
  /** Schedule time of the next attempt; null when finished. */
  nextAttemptAt: number | null;
  /** Wall time; null while it is pending. */
  finishedAt: number | null;
  /** Whether it uses up one of the delivery's attempts: one that the receiver put off does not. */
  isCharged: boolean;
  /** Whether whoever has the claim keeps it, to try again. */
  keepsClaim: boolean;
  /** Whether it has failed only because its webhook is given up with it. */
  failsWithWebhook: boolean;
}

/** What a batch of attempts changes about one webhook. */
export interface WebhookDelta {
  webhookId: number;
  /** The URL whose receiver has asked to wait, or shown that the webhook is to be given up: neither holds for another one. */
  url: string;
  /** Whether there was a success: failures before it count no more. */
  succeeded: boolean;
  /** Failures since the latest success of the batch, or all of the batch's when there was none. */
  failures: number;
  /** Wall time of the latest attempt. */
  lastTriggeredAt: number;
  /** Schedule time of the latest success, if there was one. */
  lastSuccessAt: number | null;
  /** Schedule time until which the receiver has asked to wait; null when it has not. */
  pausedUntil: number | null;
  /** Why the webhook is given up with this batch; null when it is not. */
  disabledReason: DisabledReason | null;
}

/** What writing a batch of attempts came to. */
export interface Recorded {
  /** What is to be ended now, as its webhook was given up with this batch. */
  endings: readonly Ending[];
  /** Ids of deliveries that were retried by hand during their attempts: nobody has claimed them any more. */
  renewed: ReadonlySet<number>;
}

export interface RecoverRange {
  webhookId: number;
  /** Wall times between which the events were received, both included. */
  since: number;
  until: number;
}

/** What the delivery engine is told of what others do: people by hand, other daemons on the same database. */
export interface QueueChanges {
  /** A webhook has something due that it had not. */
  due(webhookId: number): void;
  /** A webhook was changed elsewhere: its settings are to be loaded again. */
  changed(webhookId: number): void;
  /** This daemon may send to webhooks that it could not: `unfinished` tells of them too. */
  gained(): void;
  /**
   * This daemon may no longer send to some webhooks: what was claimed of them is to be released. What is under way
   * ends, and is recorded.
   */
  lost(isLost: (webhookId: number) => boolean): void;
}

/** Deliveries that wait, by webhook. Who may send one has claimed it. Rejects with store faults only. */
export interface DeliveryQueue {
  /** Hands out pending deliveries that nobody has claimed. */
  claim(request: ClaimRequest): Promise<Claim>;
  /**
   * Writes attempts, their deliveries' next states and what they change about their webhooks, all together or not
   * at all, and frees the claims (but for `keepsClaim`). A late result takes nothing back: what was delivered stays
   * so, what was ended with its webhook stays ended, and what was retried by hand meanwhile is due at once. A webhook
   * that has another URL by now is neither paused nor given up, and what failed only with it is pending and due.
   * What was written stays so: it does not reject after that.
   */
  record(attempts: readonly AttemptRecord[], webhooks: readonly WebhookDelta[]): Promise<Recorded>;
  /** Gives claimed deliveries back untried. */
  release(deliveries: readonly ClaimedDelivery[]): void;
  /** Makes a delivery pending and due, with a fresh budget of attempts. */
  retry(webhookId: number, deliveryId: number): Promise<void>;
  /**
   * Makes what the webhook subscribes to and has missed in a range pending: failed deliveries, and events that have
   * no delivery for it. Works in steps, and what was done stays done when it is cut off. Answers how many.
   */
  recover(range: RecoverRange): Promise<number>;
  /**
   * Ends as failed what a webhook has pending up to a delivery's id; `onEnded` is told how many with each step. What
   * is under way ends with its own result.
   */
  endPending(ending: Ending, onEnded: (webhook: WebhookLabel, count: number) => void): Promise<void>;
  /** What of a webhook that was disabled by the daemon, or deleted, is still to be ended; null when nothing is. */
  ending(webhookId: number): Promise<Ending | null>;
  /**
   * Tells of the enabled webhooks of this daemon that have something pending, and of those whose pending deliveries
   * are still to be ended, some at a time; resolves when it has told of all. Nothing is told before it has returned.
   */
  unfinished(found: (some: Unfinished) => void): Promise<void>;
  /** Whether this daemon may send to a webhook at this moment. Nothing here waits or fails. */
  mayBegin(webhookId: number): boolean;
  /** Tells of changes from now on; the first call says that an engine is there. */
  watch(changes: QueueChanges): void;
}

/** Some of what a start, or a take-over, finds to do. */
export interface Unfinished {
  /** Ids of webhooks. */
  pending: readonly number[];
  ending: readonly Ending[];
}

/** Pending deliveries of a webhook that are to be ended as failed: those with ids up to one. */
export interface Ending {
  webhookId: number;
  reason: EndReason;
  throughId: number;
}
