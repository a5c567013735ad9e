import type { Clock } from "../clock.ts";
import { timeOfId } from "../ids.ts";
import type { DisabledReason } from "../outcomes.ts";
import type {
  AttemptRecord,
  ClaimedDelivery,
  DeliveryQueue,
  Ending,
  RecoverRange,
} from "../store/delivery-queue.ts";
import type { WebhookLabel } from "../store/webhooks.ts";
import { createAgenda } from "./agenda.ts";
import type { Meaning } from "./answer.ts";
import { createAttemptRecorder } from "./attempt-recorder.ts";
import { createBreaker, forgive, noteFailure, noteSuccess } from "./breaker.ts";
import { choose } from "./choice.ts";
import { takeGroup } from "./group.ts";
import { createMemory } from "./memory.ts";
import { decideOutcome, type Outcome } from "./outcome.ts";
import { createPace, isPaused, noteAccepted, noteRefused, noteStart, pause, withLimit } from "./pace.ts";
import { createReadyQueues, type Verdict } from "./ready-queues.ts";
import { backoff, type RetryPolicy, spanOf } from "./retry-policy.ts";
import type { AttemptResult, Message, Sender, Target } from "./send.ts";
import type { LoadSettings, WebhookSettings } from "./settings.ts";
import { createSlots } from "./slots.ts";
import {
  createWebhookQueue,
  isIdle,
  isOn,
  putBack,
  type Trust,
  trustOf,
  type WebhookQueue,
} from "./webhook-queue.ts";
import { narrow, noteAnswer, noteFailedAnswer, sizeOf } from "./window.ts";

/** Told of what happens, after it is written; the daemon turns it into logs, metrics and notices. */
export interface DeliveryObserver {
  attempted(outcome: AttemptOutcome): void;
  disabled(webhook: WebhookSettings, reason: DisabledReason, failureCount: number): void;
  /** Pending deliveries that ended without an attempt, because their webhook was disabled or deleted. */
  ended(webhook: WebhookLabel, count: number): void;
  /** A fault of ours. */
  fault(what: string, error: unknown): void;
}

export interface AttemptOutcome {
  webhook: WebhookSettings;
  target: Target;
  deliveryId: number;
  eventId: number;
  record: AttemptRecord;
  /** Whether the webhook is on still. */
  isOn: boolean;
  /** The webhook's failures in a row before and after this attempt. */
  failures: { before: number; after: number };
}

export interface DeliveryEngine {
  /** Takes up what the store holds and begins to send. */
  start(): void;
  /** Whether a new delivery of a webhook should be handed over at once; otherwise it is found in the store. */
  wants(webhookId: number, length: number): boolean;
  /** Takes deliveries that were just stored, and that it wanted. */
  accept(claimed: readonly ClaimedDelivery[]): void;
  /** A webhook was changed, enabled, disabled or deleted. */
  reload(webhookId: number): void;
  /** Makes a delivery pending and due, with a fresh budget of attempts; one under way is not part of that. */
  retry(webhookId: number, deliveryId: number): Promise<void>;
  /** Sends what a webhook has missed in a range; answers how many deliveries that are. */
  recover(range: RecoverRange): Promise<number>;
  /** Sends a test message to a webhook, enabled or not, apart from its deliveries; null when there is no such webhook. */
  sendTest(webhookId: number, message: Message): Promise<AttemptResult | null>;
  /** Begins nothing new and waits for what is in flight, at most this long; true when all of it ended. */
  stop(timeoutMs: number): Promise<boolean>;
  inFlight(): number;
  /** How many webhooks wait because their receivers have asked for it. */
  waiting(): number;
}

export interface EngineOptions {
  deliveries: DeliveryQueue;
  load: LoadSettings;
  formatId: (id: number) => string;
  clock: Clock;
  sender: Sender;
  policy: RetryPolicy;
  concurrency: number;
  webhookConcurrency: number;
  requestTimeoutMs: number;
  observer: DeliveryObserver;
}

/** Fetched at once for a webhook that can take hardly any. */
const MIN_FETCH = 8;
/** Deliveries of one webhook that wait in memory. */
const MAX_WAITING = 512;
/** So many for each request that may be in flight. */
const FETCH_PER_REQUEST = 4;
/** A message can tell of so many. */
const FETCH_FOR_GROUPS = 100;
/** Bodies in flight: past this, nothing further begins. */
const MAX_BYTES_IN_FLIGHT = 64 * 1024 * 1024;
const FAULT_PAUSE_MS = 1_000;
const SWEEP_MS = 30_000;
/** What became due while a receiver was away for at least this long is tried at once when it is back. */
const HASTEN_AFTER_MS = 30_000;

/** One request under way. */
interface Attempt {
  queue: WebhookQueue;
  settings: WebhookSettings;
  deliveries: readonly ClaimedDelivery[];
  /** Of the queue when it began. */
  trust: Trust;
  epoch: number;
  /** Whether its first delivery had never failed. */
  isFirst: boolean;
  isEarly: boolean;
  /** Monotonic. */
  startedAt: number;
}

export function createDeliveryEngine(options: EngineOptions): DeliveryEngine {
  const { deliveries: store, clock, sender, policy, observer, webhookConcurrency } = options;
  const queues = new Map<number, WebhookQueue>();
  const slots = createSlots({
    total: options.concurrency,
    timeoutMs: options.requestTimeoutMs,
    now: () => performance.now(),
  });
  const ready = createReadyQueues();
  const memory = createMemory();
  const span = spanOf(policy);
  const agenda = createAgenda<WebhookQueue | null>(clock.schedule, {
    wake: (queue) => queue && wake(queue),
    woken: () => pump(),
  });
  const recorder = createAttemptRecorder({
    queue: store,
    inFlight: () => slots.inUse,
    onWritten: () => afterWrite(),
    onEnding: (ending) => endPending(ending),
    onFault: (error) => observer.fault("after an attempt", error),
  });
  let isRunning = false;
  let isPumping = false;
  let bytesInFlight = 0;
  /** Monotonic moment until which nothing begins, as the process is out of descriptors. */
  let exhaustedUntil = 0;
  let onDrained: (() => void) | null = null;
  let sweeping: ReturnType<typeof setInterval> | undefined;

  // ── webhooks ──────────────────────────────────────────────────────────────────────────────────────

  const queueOf = (webhookId: number): WebhookQueue => {
    const known = queues.get(webhookId);
    if (known) return known;
    const queue = createWebhookQueue(webhookId);
    queues.set(webhookId, queue);
    return queue;
  };

  const markReady = (queue: WebhookQueue): void => {
    if (isRunning) ready.add(queue);
  };

  /** Lets go of every delivery that is not being attempted; the store still has them. */
  const park = (queue: WebhookQueue): void => {
    const held = queue.waiting.concat(queue.retries);
    for (const { body } of held) memory.remove(body.length);
    store.release(held);
    Object.assign(queue, { waiting: [], retries: [], nextDueAt: Number.POSITIVE_INFINITY });
    noteDue(queue);
    queue.generation += 1;
    ready.remove(queue);
  };

  /** Something may be due in the store that is not in memory. */
  const noteDue = (queue: WebhookQueue): void => {
    Object.assign(queue, { hasBacklog: true, hasDueRetries: true, missed: true });
  };

  /** The same of a webhook that was changed, by hand or by its receiver's return. */
  const look = (webhookId: number): void => {
    if (!isRunning) return;
    const queue = queueOf(webhookId);
    noteDue(queue);
    markReady(queue);
    pump();
  };

  const wake = (queue: WebhookQueue): void => {
    if (queue.nextDueAt <= clock.schedule()) {
      queue.nextDueAt = Number.POSITIVE_INFINITY;
      queue.hasDueRetries = true;
    }
    markReady(queue);
  };

  const reload = (webhookId: number): void => {
    const queue = queues.get(webhookId);
    if (queue) {
      queue.isStale = true;
      park(queue);
    }
    applyChange(webhookId, queue).catch((error) => {
      observer.fault("reading a webhook", error);
      setTimeout(reload, FAULT_PAUSE_MS, webhookId);
    });
  };

  const applyChange = async (webhookId: number, queue: WebhookQueue | undefined): Promise<void> => {
    const settings = await options.load(webhookId);
    if (settings) {
      if (queue) take(queue, settings);
      if (settings.enabled) look(webhookId);
      return;
    }
    queues.delete(webhookId);
    if (queue) queue.settings = null;
    const ending = await store.ending(webhookId);
    if (ending) endPending(ending);
  };

  /** Takes settings over that were just loaded. */
  const take = (queue: WebhookQueue, settings: WebhookSettings): void => {
    const before = queue.settings;
    if (!before) {
      queue.breaker = createBreaker(settings.failureCount, clock.schedule());
      queue.isProven = settings.lastSuccessAt !== null;
      queue.lastSuccessAt = settings.lastSuccessAt;
    } else if (before.target.url !== settings.target.url || settings.enabled !== before.enabled) {
      // A new target, or one that was turned on again, starts with a clean record.
      forgive(queue.breaker);
      narrow(queue.window, performance.now());
      queue.pace = createPace(settings.pace);
    }
    queue.pace = withLimit(queue.pace, settings.pace);
    queue.failureCount = settings.failureCount;
    queue.isGivenUp = false;
    queue.isStale = false;
    queue.settings = settings;
  };

  const endPending = (ending: Ending): void => {
    store.endPending(ending, observer.ended).catch((error) => {
      observer.fault("ending pending deliveries", error);
      setTimeout(endPending, FAULT_PAUSE_MS, ending);
    });
  };

  // ── filling memory ────────────────────────────────────────────────────────────────────────────────

  const wants = (webhookId: number, length: number): boolean => {
    if (!isRunning) return false;
    const queue = queueOf(webhookId);
    const isFull = queue.waiting.length + queue.expected >= MAX_WAITING || memory.isFull;
    // What is in the store already must not be overtaken.
    if (isOn(queue) && !queue.hasBacklog && !queue.isFetching && !isFull) {
      queue.expected += 1;
      memory.add(length);
      return true;
    }
    Object.assign(queue, { hasBacklog: true, missed: true });
    markReady(queue);
    return false;
  };

  const accept = (claimed: readonly ClaimedDelivery[]): void => {
    for (const delivery of claimed) {
      const queue = queueOf(delivery.webhookId);
      queue.expected = Math.max(0, queue.expected - 1);
      if (isOn(queue) && isRunning) queue.waiting.push(delivery);
      else {
        // Switched off meanwhile.
        memory.remove(delivery.body.length);
        store.release([delivery]);
        noteDue(queue);
      }
      markReady(queue);
    }
    // Acks go first: what begins now may take a while under load.
    setImmediate(pump);
  };

  const fetch = (queue: WebhookQueue, search = false): void => {
    queue.isFetching = true;
    queue.missed = false;
    const { generation } = queue;
    fill(queue, search)
      .catch((error) => {
        observer.fault("reading due deliveries", error);
        noteDue(queue);
        agenda.add(queue, clock.schedule() + FAULT_PAUSE_MS);
        return false;
      })
      .then((isDone) => {
        queue.isFetching = false;
        if (generation !== queue.generation || queue.missed) noteDue(queue);
        if (isDone) markReady(queue);
        pump();
      });
  };

  /** Answers whether the queue may go on. */
  const fill = async (queue: WebhookQueue, search: boolean): Promise<boolean> => {
    const { webhookId, generation } = queue;
    if (!queue.settings || queue.isStale) {
      const settings = await options.load(webhookId);
      if (generation !== queue.generation) return true;
      if (settings) take(queue, settings);
      else queue.settings = null;
    }
    if (!isOn(queue)) return false;
    const wanted = wantedOf(queue);
    const { hastenBefore } = queue;
    const claim = await store.claim({
      webhookId,
      fresh: search ? 0 : Math.max(0, wanted - queue.waiting.length),
      again: search ? 1 : Math.max(0, wanted - queue.retries.length),
      dueBy: search || hastenBefore !== null ? Number.POSITIVE_INFINITY : clock.schedule(),
      triedBefore: hastenBefore ?? Number.POSITIVE_INFINITY,
    });
    if (generation !== queue.generation || !isOn(queue) || !isRunning) {
      store.release(claim.fresh.concat(claim.again));
      return true;
    }
    for (const delivery of claim.fresh) queue.waiting.push(delivery);
    for (const delivery of claim.again) queue.retries.push(delivery);
    for (const { body } of claim.fresh.concat(claim.again)) memory.add(body.length);
    if (!search) {
      queue.hasBacklog = claim.moreFresh;
      queue.hasDueRetries = claim.moreAgain;
      // All of them are in memory or under way; those that fail again keep to their schedules.
      if (!claim.moreAgain && hastenBefore !== null)
        Object.assign(queue, { hastenBefore: null, hasDueRetries: true });
    }
    queue.nextDueAt = claim.nextDueAt;
    agenda.add(queue, queue.nextDueAt);
    return true;
  };

  /** How many are worth having in memory: a struggling webhook gets few, as it will try few. */
  const wantedOf = ({ window, settings }: WebhookQueue): number => {
    const least = settings?.isGrouped ? FETCH_FOR_GROUPS : MIN_FETCH;
    if (memory.isFull) return least;
    return Math.min(MAX_WAITING, Math.max(least, sizeOf(window) * FETCH_PER_REQUEST));
  };

  // ── deciding what begins ──────────────────────────────────────────────────────────────────────────

  /** What the webhook that was judged last sends next. */
  let chosen: "first" | "probe" | "retry" = "first";

  const judge = (queue: WebhookQueue): Verdict => {
    if (!queue.settings || queue.isStale) {
      if (!queue.isFetching && !queue.isGivenUp) fetch(queue);
      return "drop";
    }
    if (!isOn(queue)) return "drop";
    if (queue.settings.targetUntil <= clock.wall()) {
      // The rotated secret is no longer used.
      queue.isStale = true;
      if (!queue.isFetching) fetch(queue);
      return "drop";
    }
    const now = clock.schedule();
    const choice = choose(queue, now, performance.now());
    if (typeof choice === "object") {
      if (Number.isFinite(choice.wait)) agenda.add(queue, now + choice.wait);
      return "drop";
    }
    if (choice === "fetch" || choice === "search") {
      fetch(queue, choice === "search");
      return "drop";
    }
    chosen = choice;
    return slots.admits(trustOf(queue), queue.settings.organizationId, queue.inFlight) ? "take" : "skip";
  };

  const pump = (): void => {
    if (!isRunning || isPumping || recorder.isStuck) return;
    if (exhaustedUntil > performance.now() || bytesInFlight >= MAX_BYTES_IN_FLIGHT) return;
    isPumping = true;
    try {
      for (let queue = ready.next(judge, slots); queue; queue = ready.next(judge, slots)) {
        begin(queue);
        if (bytesInFlight >= MAX_BYTES_IN_FLIGHT) break;
      }
      const wait = slots.nextFirstTry - performance.now();
      if (wait > 0 && ready.hasUntried) agenda.add(null, clock.schedule() + wait);
    } catch (error) {
      observer.fault("choosing what to send", error);
      agenda.add(null, clock.schedule() + FAULT_PAUSE_MS);
    } finally {
      isPumping = false;
    }
  };

  const begin = (queue: WebhookQueue): void => {
    const settings = queue.settings as WebhookSettings;
    const startedAt = performance.now();
    const now = clock.schedule();
    const deliveries = takeGroup(queue, chosen, startedAt);
    const first = deliveries[0] as ClaimedDelivery;
    const attempt: Attempt = {
      queue,
      settings,
      deliveries,
      trust: trustOf(queue),
      epoch: queue.breaker.epoch,
      isFirst: first.attemptCount === first.budgetFrom,
      isEarly: first.dueAt > now,
      startedAt,
    };
    for (const delivery of deliveries) {
      memory.remove(delivery.body.length);
      bytesInFlight += delivery.body.length;
    }
    queue.inFlight += 1;
    queue.starts += 1;
    if (!attempt.isFirst) queue.retriesInFlight += 1;
    noteStart(queue.pace, startedAt);
    slots.take(attempt.trust, settings.organizationId);
    sender.attempt(settings.target, messageOf(deliveries), (result) => end(attempt, result));
  };

  const messageOf = (deliveries: readonly ClaimedDelivery[]): Message => {
    const [{ eventId, body }] = deliveries as [ClaimedDelivery];
    const message: Message = { eventId: options.formatId(eventId), body };
    if (deliveries.length > 1) {
      message.more = deliveries
        .slice(1)
        .map((delivery) => ({ eventId: options.formatId(delivery.eventId), body: delivery.body }));
    }
    return message;
  };

  // ── what an attempt came to ───────────────────────────────────────────────────────────────────────

  const end = (attempt: Attempt, result: AttemptResult): void => {
    const { kind } = result.meaning;
    if (kind !== "failed" && kind !== "refused" && kind !== "dropped") {
      settle(attempt, result, NO_PAUSES);
      return;
    }
    // Nearly all deliveries succeed at once: only those that fail wait for what p-retry says.
    pausesOf(attempt)
      .then((pauses) => settle(attempt, result, pauses))
      .catch((error) => observer.fault("delivering", error));
  };

  /** The pauses before the next attempts, by how many were made: those of one message stay together. */
  const pausesOf = async ({ deliveries }: Attempt): Promise<ReadonlyMap<number, number>> => {
    const pauses = new Map<number, number>();
    for (const { attemptCount, budgetFrom } of deliveries) {
      const made = attemptCount - budgetFrom;
      if (!pauses.has(made)) pauses.set(made, await backoff(policy, made));
    }
    return pauses;
  };

  const settle = (attempt: Attempt, result: AttemptResult, pauses: ReadonlyMap<number, number>): void => {
    const { queue, deliveries } = attempt;
    if (result.meaning.kind === "unsent") {
      giveBack(attempt);
      return;
    }
    const meaning = meaningFor(attempt, result.meaning);
    const before = queue.failureCount;
    const now = clock.schedule();
    const counts = learn(attempt, meaning, result, now);
    const outcomes = deliveries.map((delivery) => {
      const pause = pauses.get(delivery.attemptCount - delivery.budgetFrom) ?? 0;
      return decide(attempt, delivery, meaning, result, { now, pause });
    });
    const disables = outcomes.find((outcome) => outcome.disables !== null)?.disables ?? null;
    if (disables) queue.isGivenUp = true;
    const records = deliveries.map((delivery, i) => recordOf(delivery, outcomes[i] as Outcome, result));
    const failures = { before, after: queue.failureCount };
    recorder.add(
      { webhookId: queue.webhookId, records, counts, endedAt: now, disabledReason: disables },
      () => written(attempt, records, outcomes, failures, disables),
    );
  };

  /** Of a message about many, nobody knows which was refused: they go one by one. */
  const meaningFor = ({ queue, deliveries }: Attempt, meaning: Meaning): Meaning => {
    if (deliveries.length === 1 || (meaning.kind !== "dropped" && meaning.kind !== "refused")) return meaning;
    queue.aloneThrough = Math.max(queue.aloneThrough, ...deliveries.map(({ id }) => id));
    return { kind: "refused" };
  };

  /** What the answer says of the receiver. */
  const learn = (
    { queue, startedAt, epoch, isFirst }: Attempt,
    meaning: Meaning,
    { status }: AttemptResult,
    now: number,
  ): "success" | "failure" | "neither" => {
    const monotonic = performance.now();
    if (meaning.kind === "delivered") {
      noteAnswer(queue.window, startedAt, monotonic, webhookConcurrency);
      noteAccepted(queue.pace, startedAt);
      queue.failureCount = 0;
      queue.isProven = true;
      queue.lastSuccessAt = now;
      if (noteSuccess(queue.breaker, now) >= HASTEN_AFTER_MS) {
        Object.assign(queue, { hastenBefore: clock.wall(), hasDueRetries: true });
      }
      return "success";
    }
    if (meaning.kind === "wait") {
      queue.isProven = true;
      narrow(queue.window, monotonic);
      if (status === 503) pause(queue.pace, monotonic + (meaning.milliseconds ?? 0));
      else {
        noteRefused(queue.pace, startedAt, monotonic, meaning.milliseconds);
        return "neither";
      }
    } else if (meaning.kind === "refused" || meaning.kind === "dropped") {
      queue.isProven = true;
      noteAccepted(queue.pace, startedAt);
    } else if (meaning.kind === "failed") {
      const isAnswered = status !== null && !GATEWAY_STATUSES.has(status);
      if (status === null) narrow(queue.window, monotonic);
      else if (isFirst) noteFailedAnswer(queue.window, startedAt, monotonic);
      noteFailure(queue.breaker, { epoch, isFirst, isAnswered }, now, policy);
    }
    queue.failureCount += 1;
    return "failure";
  };

  const decide = (
    { queue, isEarly }: Attempt,
    delivery: ClaimedDelivery,
    meaning: Meaning,
    { status }: AttemptResult,
    { now, pause }: { now: number; pause: number },
  ): Outcome => {
    const { id, attemptCount, budgetFrom, dueAt } = delivery;
    const isFree = meaning.kind === "wait" && status !== 503;
    if (isFree && !queue.refusedSince.has(id)) queue.refusedSince.set(id, now);
    const refusedSince = queue.refusedSince.get(id) ?? null;
    if (!isFree) queue.refusedSince.delete(id);
    const judged = {
      createdAt: timeOfId(id),
      made: attemptCount - budgetFrom,
      isEarly,
      dueAt,
      isFailure: !isFree,
      refusedSince,
      lastSuccessAt: queue.lastSuccessAt,
    };
    const waitUntil = now + Math.max(0, queue.pace.pausedUntil - performance.now());
    return decideOutcome(meaning, judged, { policy, span, pause, waitUntil, now });
  };

  const recordOf = (delivery: ClaimedDelivery, outcome: Outcome, result: AttemptResult): AttemptRecord => ({
    deliveryId: delivery.id,
    webhookId: delivery.webhookId,
    number: delivery.attemptCount + 1,
    startedAt: result.startedAt,
    durationMs: result.durationMs,
    httpStatus: result.status,
    error: result.error,
    detail: result.detail,
    excerpt: result.excerpt,
    status: outcome.state,
    nextAttemptAt: outcome.nextAttemptAt,
    finishedAt: outcome.state === "pending" ? null : clock.wall(),
    isCharged: outcome.isCharged,
    keepsClaim: outcome.staysInFront,
  });

  /** After the commit: slots are given back, and what is to be known is told. */
  const written = (
    attempt: Attempt,
    records: readonly AttemptRecord[],
    outcomes: readonly Outcome[],
    failures: { before: number; after: number },
    disables: DisabledReason | null,
  ): void => {
    const { queue, settings, deliveries } = attempt;
    leave(attempt);
    const kept: ClaimedDelivery[] = [];
    deliveries.forEach((delivery, i) => {
      const outcome = outcomes[i] as Outcome;
      const record = records[i] as AttemptRecord;
      if (outcome.staysInFront) kept.push(again(delivery, outcome));
      else if (outcome.nextAttemptAt !== null) {
        queue.nextDueAt = Math.min(queue.nextDueAt, outcome.nextAttemptAt);
      }
      observer.attempted({
        webhook: settings,
        target: settings.target,
        deliveryId: delivery.id,
        eventId: delivery.eventId,
        record,
        isOn: isOn(queue),
        failures,
      });
    });
    keep(queue, kept);
    if (disables) giveUp(attempt, disables);
    agenda.add(queue, queue.nextDueAt);
    markReady(queue);
  };

  /** The same delivery after an attempt. */
  const again = (delivery: ClaimedDelivery, { isCharged }: Outcome): ClaimedDelivery => ({
    ...delivery,
    attemptCount: delivery.attemptCount + 1,
    budgetFrom: delivery.budgetFrom + (isCharged ? 0 : 1),
  });

  /** Puts deliveries back in front, unless the webhook went off meanwhile. */
  const keep = (queue: WebhookQueue, kept: readonly ClaimedDelivery[]): void => {
    if (kept.length === 0) return;
    if (!isOn(queue) || queue.isStale || !isRunning || queues.get(queue.webhookId) !== queue) {
      store.release(kept);
      noteDue(queue);
      return;
    }
    putBack(queue, kept);
    for (const { body } of kept) memory.add(body.length);
  };

  const leave = ({ queue, settings, deliveries, trust, isFirst }: Attempt): void => {
    queue.inFlight -= 1;
    if (!isFirst) queue.retriesInFlight -= 1;
    slots.release(trust, settings.organizationId);
    for (const { body } of deliveries) bytesInFlight -= body.length;
  };

  /** Nothing was sent, and it is nobody's failure: all of it stays where it was, and nothing begins for a moment. */
  const giveBack = (attempt: Attempt): void => {
    leave(attempt);
    keep(attempt.queue, attempt.deliveries);
    markReady(attempt.queue);
    exhaustedUntil = performance.now() + FAULT_PAUSE_MS;
    agenda.add(null, clock.schedule() + FAULT_PAUSE_MS);
    if (slots.inUse === 0) onDrained?.();
  };

  /** The webhook was disabled in the same transaction as the attempt that decided it. */
  const giveUp = ({ queue, settings }: Attempt, reason: DisabledReason): void => {
    park(queue);
    queue.settings = { ...settings, enabled: false };
    observer.disabled(settings, reason, queue.failureCount);
  };

  const afterWrite = (): void => {
    pump();
    if (slots.inUse === 0) onDrained?.();
  };

  // ── begin and end ─────────────────────────────────────────────────────────────────────────────────

  const start = (): void => {
    isRunning = true;
    sweeping = setInterval(sweep, SWEEP_MS).unref();
    store.watch(look);
    resume();
  };

  /** Takes up what was left unfinished by the daemon before this one. */
  const resume = (): void => {
    store.unfinished().then(
      ({ pending, ending }) => {
        ending.forEach(endPending);
        pending.forEach(look);
      },
      (error) => {
        observer.fault("reading what is pending", error);
        setTimeout(resume, FAULT_PAUSE_MS);
      },
    );
  };

  /** Lets go of webhooks that have nothing to do: the store knows all that counts of them. */
  const sweep = (): void => {
    const monotonic = performance.now();
    for (const queue of queues.values()) {
      if (!isIdle(queue, monotonic)) continue;
      queues.delete(queue.webhookId);
      ready.remove(queue);
      agenda.remove(queue);
    }
  };

  const stop = async (timeoutMs: number): Promise<boolean> => {
    isRunning = false;
    clearInterval(sweeping);
    agenda.stop();
    for (const queue of queues.values()) park(queue);
    if (slots.inUse === 0) return true;
    return new Promise<boolean>((resolve) => {
      onDrained = () => resolve(true);
      setTimeout(resolve, timeoutMs, false);
    });
  };

  return {
    start,
    wants,
    accept,
    reload,
    retry: async (webhookId, deliveryId) => {
      // What was attempted is written first: a retry by hand is of what is known then.
      await recorder.flush();
      await store.retry(webhookId, deliveryId);
    },
    recover: async (range) => {
      await recorder.flush();
      return store.recover(range);
    },
    sendTest: async (webhookId, message) => {
      const settings = await options.load(webhookId);
      if (!settings) return null;
      const result = await sender.send(settings.target, message);
      // Nobody is to be called out for a test.
      const isAlert = settings.format === "pagerduty" && result.error === null;
      if (isAlert) await sender.send(settings.target, { ...message, resolves: true });
      const queue = queues.get(webhookId);
      if (queue && result.error === null) queue.lastSuccessAt = clock.schedule();
      return result;
    },
    stop,
    inFlight: () => slots.inUse,
    waiting: () => {
      const now = performance.now();
      let count = 0;
      for (const { pace } of queues.values()) if (isPaused(pace, now)) count += 1;
      return count;
    },
  };
}

const NO_PAUSES: ReadonlyMap<number, number> = new Map();

/** A gateway says with these that what is behind it did not answer (RFC 9110, 15.6). */
const GATEWAY_STATUSES = new Set([502, 503, 504]);
