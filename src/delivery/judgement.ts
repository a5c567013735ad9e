import { timeOfId } from "../ids.ts";
import type { DisabledReason } from "../outcomes.ts";
import type { AttemptRecord, ClaimedDelivery } from "../store/delivery-queue.ts";
import type { Meaning } from "./answer.ts";
import type { Attempt } from "./attempt.ts";
import { type LearningOptions, learn, type Moment } from "./learning.ts";
import { DELIVERED, decideOutcome, type Outcome } from "./outcome.ts";
import { backoff, type RetryPolicy } from "./retry-policy.ts";
import type { AttemptResult } from "./send.ts";
import type { WebhookQueue } from "./webhook-queue.ts";

/** What an attempt came to, for each delivery that it carried, in their order. */
export interface Judgement {
  records: readonly AttemptRecord[];
  outcomes: readonly Outcome[];
  counts: "success" | "failure" | "neither";
  /** The webhook's failures in a row before and after. */
  failures: { before: number; after: number };
  /** Why the webhook is given up; null when it is not. */
  disables: DisabledReason | null;
  /** Schedule time until which the receiver has asked to wait; null when it has not. */
  pausedUntil: number | null;
}

/** Pauses before next attempts in milliseconds, by how many attempts of the budget were made. */
export type Pauses = ReadonlyMap<number, number>;

export const NO_PAUSES: Pauses = new Map();

/** Whether a retry may follow, so that its pause must be known. */
export function needsPauses({ status, meaning: { kind } }: AttemptResult): boolean {
  return kind === "failed" || kind === "refused" || kind === "dropped" || (kind === "wait" && status !== 429);
}

/** What p-retry says: the same pause for all that were tried as often, so that those of one message stay together. */
export async function pausesOf({ deliveries }: Attempt, policy: RetryPolicy): Promise<Pauses> {
  const pauses = new Map<number, number>();
  for (const delivery of deliveries) {
    const made = madeOf(delivery);
    if (!pauses.has(made)) pauses.set(made, await backoff(policy, made));
  }
  return pauses;
}

export interface JudgementOptions extends LearningOptions {
  /** How long all retries of a delivery take, in milliseconds. */
  span: number;
}

/** Makes of an answer what becomes of its deliveries, and notes in the queue what it says of the receiver. */
export function judge(
  attempt: Attempt,
  result: AttemptResult,
  afterFailures: Pauses,
  moment: Moment,
  options: JudgementOptions,
): Judgement {
  const { queue, deliveries } = attempt;
  const isFormer = isOfFormerReceiver(attempt);
  const pauses = isFormer ? NO_PAUSES : afterFailures;
  const meaning = isFormer ? ofFormer(result.meaning) : meaningFor(attempt, result.meaning);
  const before = queue.failureCount;
  const counts = isFormer ? countsAlone(meaning) : learn(attempt, meaning, result.status, moment, options);
  const records: AttemptRecord[] = [];
  const outcomes: Outcome[] = [];
  let disables: DisabledReason | null = null;
  for (const delivery of deliveries) {
    const outcome =
      meaning.kind === "delivered"
        ? delivered(queue, delivery)
        : decide(attempt, delivery, { meaning, counts, pauses, moment, options });
    outcomes.push(outcome);
    records.push(recordOf(delivery, outcome, result, moment.wall));
    if (!isFormer) disables ??= outcome.disables;
  }
  return {
    records,
    outcomes,
    counts,
    failures: { before, after: queue.failureCount },
    disables,
    pausedUntil: meaning.kind === "wait" && !isFormer ? pauseEnd(queue, moment) : null,
  };
}

/** Whether the webhook has got another URL since the attempt began: what was answered says nothing of who is there now. */
function isOfFormerReceiver({ queue, settings }: Attempt): boolean {
  return queue.settings?.target.url !== settings.target.url;
}

/** Its no may not be the present one's: the delivery goes there at once, as one that failed. */
function ofFormer(meaning: Meaning): Meaning {
  return meaning.kind === "disable" || meaning.kind === "dropped" ? { kind: "refused" } : meaning;
}

function countsAlone({ kind }: Meaning): Judgement["counts"] {
  return kind === "delivered" ? "success" : "neither";
}

/** Schedule time until which a receiver has asked to wait, at least the present moment. */
function pauseEnd({ pace }: WebhookQueue, { now, monotonic }: Moment): number {
  return now + Math.max(0, Math.ceil(pace.pausedUntil - monotonic));
}

/** Nearly all of them: nothing is to be decided. */
function delivered({ refusedSince }: WebhookQueue, { id }: ClaimedDelivery): Outcome {
  if (refusedSince.size > 0) refusedSince.delete(id);
  return DELIVERED;
}

interface Decision {
  meaning: Meaning;
  counts: Judgement["counts"];
  pauses: Pauses;
  moment: Moment;
  options: JudgementOptions;
}

function decide(
  attempt: Attempt,
  delivery: ClaimedDelivery,
  { meaning, counts, pauses, moment, options: { policy, span } }: Decision,
): Outcome {
  const { now } = moment;
  const waitUntil = pauseEnd(attempt.queue, moment);
  const pause = pauses.get(madeOf(delivery)) ?? 0;
  const outcome = decideOutcome(meaning, judged(attempt, delivery, counts, meaning, now), {
    policy,
    span,
    pause,
    waitUntil,
    now,
  });
  // One that ends may be retried by hand, with a fresh budget.
  if (!outcome.staysInFront) attempt.queue.refusedSince.delete(delivery.id);
  return outcome;
}

/** The same delivery after an attempt. */
export function triedOnce(delivery: ClaimedDelivery, { isCharged, dueAt }: Outcome): ClaimedDelivery {
  const { attemptCount, budgetFrom } = delivery;
  return {
    ...delivery,
    attemptCount: attemptCount + 1,
    budgetFrom: budgetFrom + (isCharged ? 0 : 1),
    dueAt: dueAt ?? delivery.dueAt,
  };
}

function madeOf({ attemptCount, budgetFrom }: ClaimedDelivery): number {
  return attemptCount - budgetFrom;
}

/** Of a message about many, nobody knows which was refused: they go one by one. */
function meaningFor({ queue, deliveries }: Attempt, meaning: Meaning): Meaning {
  if (deliveries.length === 1 || (meaning.kind !== "dropped" && meaning.kind !== "refused")) return meaning;
  queue.aloneThrough = Math.max(queue.aloneThrough, ...deliveries.map(({ id }) => id));
  return { kind: "refused" };
}

function judged(
  { queue, isEarly }: Attempt,
  delivery: ClaimedDelivery,
  counts: Judgement["counts"],
  { kind }: Meaning,
  now: number,
) {
  const { id, dueAt } = delivery;
  const isPutOff = kind === "wait" && counts === "neither";
  if (!isPutOff) queue.refusedSince.delete(id);
  else if (!queue.refusedSince.has(id)) queue.refusedSince.set(id, now);
  return {
    createdAt: timeOfId(id),
    made: madeOf(delivery),
    // Others that share its message may be due, or never have failed.
    isEarly: isEarly && dueAt > now,
    dueAt,
    isFailure: !isPutOff,
    refusedSince: isPutOff ? (queue.refusedSince.get(id) ?? null) : null,
    lastSuccessAt: queue.lastSuccessAt,
  };
}

function recordOf(
  { id, webhookId, attemptCount }: ClaimedDelivery,
  { state, nextAttemptAt, isCharged, staysInFront, disables }: Outcome,
  { startedAt, durationMs, status, error, detail, excerpt }: AttemptResult,
  wall: number,
): AttemptRecord {
  return {
    deliveryId: id,
    webhookId,
    number: attemptCount + 1,
    startedAt,
    durationMs,
    httpStatus: status,
    error,
    detail,
    excerpt,
    status: state,
    nextAttemptAt,
    finishedAt: state === "pending" ? null : wall,
    isCharged,
    keepsClaim: staysInFront,
    // One that has used up its attempts has failed in any case.
    failsWithWebhook: disables !== null && disables !== "attempts_exhausted",
  };
}
