import type { Clock } from "../clock.ts";
import type { DisabledReason } from "../outcomes.ts";
import { spared } from "../spared.ts";
import type { AttemptRecord, ClaimedDelivery, DeliveryQueue } from "../store/delivery-queue.ts";
import type { Attempt } from "./attempt.ts";
import type { AttemptRecorder, WrittenWith } from "./attempt-recorder.ts";
import {
  type Judgement,
  type JudgementOptions,
  judge,
  NO_PAUSES,
  needsPauses,
  type Pauses,
  pausesOf,
  triedOnce,
} from "./judgement.ts";
import type { Memory } from "./memory.ts";
import type { DeliveryObserver } from "./observer.ts";
import type { Outcome } from "./outcome.ts";
import type { QueueRegistry } from "./queue-registry.ts";
import type { Scheduler } from "./scheduler.ts";
import type { AttemptResult } from "./send.ts";
import { isOn, noteDue, putBack, type WebhookQueue } from "./webhook-queue.ts";

export interface CompletionOptions {
  store: Pick<DeliveryQueue, "release" | "mayBegin">;
  clock: Clock;
  judging: JudgementOptions;
  memory: Memory;
  recorder: AttemptRecorder;
  registry: Pick<QueueRegistry, "known" | "park">;
  scheduler: Scheduler;
  observer: DeliveryObserver;
  /** An attempt that came to nothing has given back what it held, with nothing written. */
  onReleased: () => void;
}

/** What happens when an attempt is over: end → decide (judged, given to the recorder) → written. */
export function createCompletion(
  options: CompletionOptions,
): (attempt: Attempt, result: AttemptResult) => void {
  const { store, clock, judging, memory, recorder, registry, scheduler, observer } = options;
  const { policy } = judging;

  const end = (attempt: Attempt, result: AttemptResult): void => {
    if (result.meaning.kind === "unsent") giveBack(attempt);
    else if (!needsPauses(result)) decide(attempt, result, NO_PAUSES);
    else {
      // Nearly all deliveries succeed at once: only those that fail wait for what p-retry says.
      pausesOf(attempt, policy)
        .then((pauses) => decide(attempt, result, pauses))
        .catch((error) => observer.fault("delivering", error));
    }
  };

  const decide = (attempt: Attempt, result: AttemptResult, pauses: Pauses): void => {
    const moment = { now: clock.schedule(), monotonic: performance.now(), wall: clock.wall() };
    const judgement = judge(attempt, result, pauses, moment, judging);
    const { records, counts, disables, pausedUntil } = judgement;
    const { queue } = attempt;
    if (disables) queue.isGivenUp = true;
    const { webhookId } = queue;
    const { url } = attempt.settings.target;
    const change = { endedAt: moment.now, pausedUntil, disabledReason: disables };
    recorder.add({ webhookId, url, records, counts, ...change }, (transaction) =>
      written(attempt, judgement, transaction),
    );
  };

  /** After the commit: what was held is free, and what is to be known is told. */
  const written = (
    attempt: Attempt,
    { records, outcomes, failures, disables }: Judgement,
    { givenUp, renewed }: WrittenWith,
  ): void => {
    const { queue, settings, deliveries } = attempt;
    scheduler.release(attempt);
    const isGivenUp = givenUp.has(queue.webhookId);
    const isSpared = disables !== null && !isGivenUp;
    if (isSpared) spare(queue);
    const kept: ClaimedDelivery[] = [];
    for (let i = 0; i < deliveries.length; i += 1) {
      const delivery = deliveries[i] as ClaimedDelivery;
      const outcome = outcomes[i] as Outcome;
      if (renewed.has(delivery.id)) queue.refusedSince.delete(delivery.id);
      if (outcome.staysInFront && !renewed.has(delivery.id)) kept.push(triedOnce(delivery, outcome));
      else if (outcome.nextAttemptAt !== null) {
        queue.nextDueAt = Math.min(queue.nextDueAt, outcome.nextAttemptAt);
      }
      observer.attempted({
        webhook: settings,
        deliveryId: delivery.id,
        eventId: delivery.eventId,
        record: isSpared
          ? spared(records[i] as AttemptRecord, clock.schedule())
          : (records[i] as AttemptRecord),
        isOn: isOn(queue),
        failures,
      });
    }
    keep(attempt, kept);
    if (disables && isGivenUp) giveUp(attempt, disables);
    scheduler.wakeAt(queue, queue.nextDueAt);
    scheduler.markReady(queue);
  };

  /** Puts deliveries back in front, unless the webhook went off meanwhile, or to another daemon, also if it is back. */
  const keep = ({ queue, tenure }: Attempt, kept: readonly ClaimedDelivery[]): void => {
    if (kept.length === 0) return;
    const isSame = tenure === queue.tenure && !queue.isStale;
    const isOurs = isOn(queue) && isSame && store.mayBegin(queue.webhookId);
    if (!isOurs || !scheduler.isRunning || registry.known(queue.webhookId) !== queue) {
      store.release(kept);
      for (const { id } of kept) queue.refusedSince.delete(id);
      noteDue(queue);
      return;
    }
    putBack(queue, kept);
    for (const { body } of kept) memory.add(body.length);
  };

  /** Nothing was sent, and it is nobody's failure: all of it stays where it was, and nothing begins for a moment. */
  const giveBack = (attempt: Attempt): void => {
    scheduler.release(attempt);
    keep(attempt, attempt.deliveries);
    scheduler.markReady(attempt.queue);
    scheduler.rest();
    options.onReleased();
  };

  /** The store has not given it up: it has another receiver by now, or was another daemon's when that was to be written. */
  const spare = (queue: WebhookQueue): void => {
    queue.isGivenUp = false;
    queue.isStale = true;
    noteDue(queue);
  };

  /** The webhook was disabled in the same transaction as the attempt that decided it. */
  const giveUp = ({ queue, settings }: Attempt, reason: DisabledReason): void => {
    registry.park(queue);
    queue.settings = { ...settings, enabled: false };
    // Others that were in flight may have come to the same.
    if (queue.isGivenUpTold) return;
    queue.isGivenUpTold = true;
    observer.disabled(settings, reason, queue.failureCount);
  };

  return end;
}
