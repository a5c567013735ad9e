import type { Clock } from "../clock.ts";
import { timeOfId } from "../ids.ts";
import type { AttemptRecord } from "../store/sqlite/deliveries.ts";
import type { StoredEvent } from "../store/sqlite/events.ts";
import { deliveryIdOf } from "../store/sqlite/new-deliveries.ts";
import { DELIVERED, type DisabledReason, FAILED, PENDING } from "../store/sqlite/schema.ts";
import type { Store } from "../store/sqlite/store.ts";
import type { WebhookLabel } from "../store/webhooks.ts";
import { createAttemptRecorder } from "./attempt-recorder.ts";
import { createBacklog } from "./backlog.ts";
import { retryDelivery, SLEEP_LIMIT_MS } from "./deliver.ts";
import { forgive, type Job, type Lane, mayStart, noteFailure, noteSuccess } from "./lane.ts";
import { createLaneLoader } from "./lane-loader.ts";
import { createPendingEnd } from "./pending-end.ts";
import { createReadyLanes, type Verdict } from "./ready-lanes.ts";
import type { RetryPolicy } from "./retry-policy.ts";
import type { AttemptResult, Message, Sender, Target } from "./send.ts";
import { createSlots } from "./slots.ts";

/** Told of what happens, after it is written; the daemon turns it into logs, metrics and notices. */
export interface DeliveryObserver {
  attempted(outcome: AttemptOutcome): void;
  disabled(lane: Lane, reason: DisabledReason): void;
  /** Pending deliveries that ended without an attempt, because their webhook was disabled or deleted. */
  ended(webhook: WebhookLabel, count: number): void;
  /** A fault of ours. */
  fault(what: string, error: unknown): void;
}

export interface AttemptOutcome {
  lane: Lane;
  target: Target;
  deliveryId: number;
  eventId: number;
  record: AttemptRecord;
  /** The webhook's failures in a row before and after this attempt. */
  failures: { before: number; after: number };
}

export interface Worker {
  /** Takes up what the table holds and begins to send. */
  start(): void;
  /**
   * Takes events that were just committed; what does not fit in memory waits in the table. Must be called in
   * the same turn as the commit: otherwise a look into the table may find, and send, what is handed over later.
   */
  accept(events: readonly StoredEvent[]): void;
  /** A webhook was changed, enabled, disabled or deleted. */
  reload(webhookId: number): void;
  /** Writes the results that wait for their transaction: before the table is changed by hand. */
  settle(): void;
  /** Deliveries of a webhook were made due by hand. */
  wake(webhookId: number, deliveryId?: number): void;
  /** Sends a message to a webhook, enabled or not, apart from its deliveries; null when there is no such webhook. */
  sendApart(webhookId: number, message: { eventId: string; body: string }): Promise<AttemptResult | null>;
  /** Begins nothing new and waits for what is in flight, at most this long; true when all of it ended. */
  stop(timeoutMs: number): Promise<boolean>;
  inFlight(): number;
}

export interface WorkerOptions {
  store: Store;
  clock: Clock;
  sender: Sender;
  policy: RetryPolicy;
  concurrency: number;
  webhookConcurrency: number;
  requestTimeoutMs: number;
  observer: DeliveryObserver;
}

/** Sleeping between two attempts is for the few; past this the table keeps the time. */
const MAX_ASLEEP = 1_000;
const FAULT_PAUSE_MS = 1_000;
const MAX_TIMER_MS = 3_600_000;

export function createWorker(options: WorkerOptions): Worker {
  const { store, clock, sender, policy, observer, webhookConcurrency } = options;
  const lanes = new Map<number, Lane>();
  const slots = createSlots({
    total: options.concurrency,
    timeoutMs: options.requestTimeoutMs,
    now: () => performance.now(),
  });
  const ready = createReadyLanes();
  const load = createLaneLoader({ store, sender });
  const backlog = createBacklog(store.deliveries);
  const endPending = createPendingEnd({
    store,
    clock,
    onEnded: observer.ended,
    onFault: (error) => observer.fault("ending pending deliveries", error),
  });
  const recorder = createAttemptRecorder({
    store: store.deliveries,
    lastId: store.lastId,
    inFlight: () => slots.inUse,
    onWritten: () => afterWrite(),
    onFault: (error) => observer.fault("after an attempt", error),
  });
  let running = false;
  let asleep = 0;
  let pumping = false;
  let wakeAt = Number.POSITIVE_INFINITY;
  let wakeTimer: ReturnType<typeof setTimeout> | undefined;
  let onDrained: (() => void) | null = null;

  // ── webhooks ──────────────────────────────────────────────────────────────────────────────────────

  const laneOf = (webhookId: number): Lane | null => {
    const known = lanes.get(webhookId);
    if (known) return known;
    const lane = load.lane(webhookId);
    if (lane) lanes.set(webhookId, lane);
    return lane;
  };

  /** Lets go of every delivery that is not being attempted; the table still has them. */
  const park = (lane: Lane): void => {
    backlog.clear(lane);
    for (const job of lane.held.values()) if (!job.attempting) drop(lane, job);
    lane.freshThrough = 0;
    ready.remove(lane);
  };

  const drop = (lane: Lane, job: Job): void => {
    lane.held.delete(job.id);
    if (job.takeTurn) lane.queue = lane.queue.filter((other) => other !== job);
    wakened(job);
    job.controller?.abort();
  };

  const wakened = (job: Job): void => {
    if (job.asleep) asleep -= 1;
    job.asleep = false;
  };

  const reload = (webhookId: number): void => {
    const lane = lanes.get(webhookId);
    const loaded = load.target(webhookId);
    if (!loaded) {
      if (lane) close(lane);
      lanes.delete(webhookId);
      endPending(webhookId, "webhook_deleted", store.lastId());
      return;
    }
    const { webhook, target, targetUntil } = loaded;
    if (!lane) {
      if (webhook.enabled && running) unspill(webhookId);
      return;
    }
    if (!webhook.enabled) {
      close(lane);
      return;
    }
    if (lane.target?.url !== target.url) forgive(lane);
    const { name: webhookName, failureCount } = webhook;
    Object.assign(lane, { target, targetUntil, webhookName, failureCount });
    if (running) unspill(webhookId);
  };

  const close = (lane: Lane): void => {
    lane.target = null;
    park(lane);
  };

  /** Has the table looked through for a webhook's due deliveries. */
  const unspill = (webhookId: number): void => {
    const lane = laneOf(webhookId);
    if (!lane?.target) return;
    lane.spilled = true;
    markReady(lane);
    pump();
  };

  // ── queues ────────────────────────────────────────────────────────────────────────────────────────

  const accept = (events: readonly StoredEvent[]): void => {
    if (!running) return;
    for (const event of events) if (event.deliveries > 0) acceptOne(event);
    // Acks go first: what begins now may take a while under load.
    setImmediate(pump);
  };

  const acceptOne = ({ event: { body, webhookIds }, eventId }: StoredEvent): void => {
    for (let i = 0; i < webhookIds.length; i += 1) {
      const webhookId = webhookIds[i] as number;
      const lane = laneOf(webhookId);
      if (!lane?.target) continue;
      if (lane.spilled || backlog.isFull(lane)) lane.spilled = true;
      else {
        const id = deliveryIdOf(eventId, i);
        lane.freshThrough = id;
        backlog.add(lane, { id, eventId, body, attemptCount: 0, budgetFrom: 0 });
      }
      markReady(lane);
    }
  };

  const refill = (lane: Lane): void => {
    const now = clock.schedule();
    backlog.refill(lane, now);
    if (lane.spilled) return;
    lane.nextDue = store.deliveries.nextDueAfter(lane.webhookId, now) ?? Number.POSITIVE_INFINITY;
    wakeBy(lane.nextDue);
  };

  const markReady = (lane: Lane): void => {
    if (lane.target && (lane.queue.length > 0 || lane.spilled)) ready.add(lane);
  };

  // ── taking turns ──────────────────────────────────────────────────────────────────────────────────

  const judge = (lane: Lane): Verdict => {
    const now = clock.schedule();
    if (!mayStart(lane, now)) {
      if (lane.restUntil > now) wakeBy(lane.restUntil);
      return "drop";
    }
    if (!slots.admits(lane)) return "skip";
    if (lane.queue.length === 0 && lane.spilled) refill(lane);
    return lane.queue.length > 0 ? "take" : "drop";
  };

  const pump = (): void => {
    if (!running || pumping || recorder.stuck) return;
    pumping = true;
    try {
      for (let lane = ready.next(judge, slots); lane; lane = ready.next(judge, slots)) begin(lane);
      const pause = slots.nextFirstTry - performance.now();
      if (pause > 0 && ready.hasUntried) wakeBy(clock.schedule() + pause);
    } catch (error) {
      observer.fault("reading due deliveries", error);
      wakeBy(clock.schedule() + FAULT_PAUSE_MS);
    } finally {
      pumping = false;
    }
  };

  const begin = (lane: Lane): void => {
    if (lane.targetUntil !== Number.POSITIVE_INFINITY && lane.targetUntil <= clock.wall()) renewTarget(lane);
    const job = backlog.takeFirst(lane);
    lane.inFlight += 1;
    slots.take(lane, lane.trust);
    job.granted = true;
    job.attempting = true;
    job.target = lane.target;
    job.trust = lane.trust;
    job.epoch = lane.epoch;
    if (job.takeTurn) job.takeTurn();
    else run(lane, job);
  };

  /** Once the rotated secret is no longer used. */
  const renewTarget = (lane: Lane): void => {
    const loaded = load.target(lane.webhookId);
    if (loaded) Object.assign(lane, { target: loaded.target, targetUntil: loaded.targetUntil });
  };

  const wakeBy = (time: number): void => {
    if (time >= wakeAt) return;
    wakeAt = time;
    clearTimeout(wakeTimer);
    wakeTimer = setTimeout(wakeUp, Math.min(MAX_TIMER_MS, Math.max(1, time - clock.schedule())));
  };

  const wakeUp = (): void => {
    wakeAt = Number.POSITIVE_INFINITY;
    const now = clock.schedule();
    for (const lane of lanes.values()) {
      if (lane.nextDue <= now) {
        lane.nextDue = Number.POSITIVE_INFINITY;
        lane.spilled = true;
      }
      markReady(lane);
      wakeBy(lane.nextDue);
    }
    pump();
  };

  // ── one delivery ──────────────────────────────────────────────────────────────────────────────────

  const messageOf = ({ eventId, body }: Job): Message => ({ eventId: store.formatId(eventId), body });

  const run = (lane: Lane, job: Job): void => {
    job.granted = false;
    sender.attempt(job.target as Target, messageOf(job), (result) => {
      try {
        if (result.error === null) succeed(lane, job, result);
        else goOn(lane, job, result);
      } catch (error) {
        observer.fault("delivering", error);
      }
    });
  };

  /** Leaves a delivery that has failed to p-retry. */
  const goOn = (lane: Lane, job: Job, failed: AttemptResult): void => {
    job.controller = new AbortController();
    const { signal } = job.controller;
    retryDelivery({
      policy,
      made: job.attemptCount - job.budgetFrom,
      failed,
      signal,
      attempt: async () => {
        await turn(lane, job, signal);
        job.granted = false;
        return sender.send(job.target as Target, messageOf(job));
      },
      onSuccess: (result) => succeed(lane, job, result),
      onFailure: (result, delay) => fail(lane, job, result, delay),
    }).catch((error) => observer.fault("delivering", error));
  };

  /** A run that has slept goes to the front of its webhook's line. */
  const turn = (lane: Lane, job: Job, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      wakened(job);
      job.takeTurn = () => {
        job.takeTurn = null;
        resolve();
      };
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      lane.queue.unshift(job);
      markReady(lane);
      pump();
    });

  const succeed = (lane: Lane, job: Job, result: AttemptResult): void => {
    const before = lane.failureCount;
    noteSuccess(lane, clock.schedule(), webhookConcurrency);
    write(lane, job, { record: recordOf(job, result, { status: DELIVERED, nextAttemptAt: null }), before });
  };

  const fail = (lane: Lane, job: Job, result: AttemptResult, retryDelay: number): boolean => {
    const now = clock.schedule();
    const before = lane.failureCount;
    noteFailure(lane, job.epoch, now, policy);
    const { meaning } = result;
    const exhausted = job.attemptCount + 1 - job.budgetFrom >= policy.attempts;
    if (meaning.kind === "disable" || meaning.kind === "dropped" || exhausted) {
      // Given up only when nothing got through since this delivery was created.
      const hopeless = lane.lastSuccessAt === null || lane.lastSuccessAt < timeOfId(job.id);
      if (meaning.kind === "disable") lane.disabledReason = meaning.reason;
      else if (meaning.kind !== "dropped" && hopeless) lane.disabledReason = "attempts_exhausted";
      write(lane, job, { record: recordOf(job, result, { status: FAILED, nextAttemptAt: null }), before });
      return false;
    }
    // p-retry knows nothing of a budget that was renewed during its run: the table takes over then.
    const pause = Math.max(
      job.renewed ? 0 : retryDelay,
      (meaning.kind === "wait" && meaning.milliseconds) || 0,
    );
    const isShort = pause <= SLEEP_LIMIT_MS && pause === retryDelay;
    const sleeps = running && !job.renewed && isShort && asleep < MAX_ASLEEP;
    const record = recordOf(job, result, { status: PENDING, nextAttemptAt: now + pause });
    write(lane, job, { record, before, sleeps });
    return sleeps;
  };

  const recordOf = (
    job: Job,
    result: AttemptResult,
    state: Pick<AttemptRecord, "status" | "nextAttemptAt">,
  ): AttemptRecord => ({
    ...state,
    deliveryId: job.id,
    number: job.attemptCount + 1,
    startedAt: result.startedAt,
    durationMs: result.durationMs,
    httpStatus: result.status,
    error: result.error,
    detail: result.detail,
    excerpt: result.excerpt,
    finishedAt: state.status === PENDING ? null : clock.wall(),
  });

  interface Written {
    record: AttemptRecord;
    /** The webhook's failures in a row before. */
    before: number;
    sleeps?: boolean;
  }

  const write = (lane: Lane, job: Job, { record, before, sleeps = false }: Written): void => {
    const { trust } = job;
    const target = job.target as Target;
    job.attemptCount = record.number;
    lane.lastTriggeredAt = Math.max(lane.lastTriggeredAt ?? 0, record.startedAt);
    lane.triedThrough = Math.max(lane.triedThrough, job.id);
    const failures = { before, after: lane.failureCount };
    if (sleeps) asleep += 1;
    job.asleep = sleeps;
    recorder.add(lane, record, () => {
      lane.inFlight -= 1;
      slots.release(lane, trust);
      job.attempting = job.granted;
      if (!sleeps) leave(lane, job, record);
      else if (!lane.target || !running) drop(lane, job);
      observer.attempted({
        lane,
        target,
        deliveryId: job.id,
        eventId: job.eventId,
        record,
        failures,
      });
      if (lane.disabledReason) giveUp(lane, lane.disabledReason);
      markReady(lane);
    });
  };

  const leave = (lane: Lane, job: Job, record: AttemptRecord): void => {
    lane.held.delete(job.id);
    if (record.nextAttemptAt === null) return;
    lane.nextDue = Math.min(lane.nextDue, record.nextAttemptAt);
    wakeBy(lane.nextDue);
  };

  /** The webhook was disabled in the same transaction as the attempt that decided it. */
  const giveUp = (lane: Lane, reason: DisabledReason): void => {
    lane.disabledReason = null;
    store.webhooks.forgetSubscriptions();
    close(lane);
    observer.disabled(lane, reason);
    endPending(lane.webhookId, "webhook_disabled", store.lastId());
  };

  const afterWrite = (): void => {
    pump();
    if (slots.inUse === 0) onDrained?.();
  };

  const start = (): void => {
    running = true;
    for (const { id, enabled, deletedAt, endThrough } of store.webhooks.all()) {
      const reason = deletedAt === null ? "webhook_disabled" : "webhook_deleted";
      if (endThrough !== null) endPending(id, reason, endThrough);
      // What its owner has switched off waits until it is switched on again.
      if (enabled && store.deliveries.hasPending(id)) unspill(id);
    }
  };

  const stop = async (timeoutMs: number): Promise<boolean> => {
    running = false;
    clearTimeout(wakeTimer);
    for (const lane of lanes.values()) park(lane);
    if (slots.inUse === 0) return true;
    const drained = new Promise<boolean>((resolve) => {
      onDrained = () => resolve(true);
      setTimeout(resolve, timeoutMs, false);
    });
    return drained;
  };

  return {
    start,
    accept,
    reload,
    settle: recorder.flush,
    wake: (webhookId, deliveryId) => {
      const lane = lanes.get(webhookId);
      const job = deliveryId === undefined ? undefined : lane?.held.get(deliveryId);
      if (job?.attempting) Object.assign(job, { budgetFrom: job.attemptCount + 1, renewed: true });
      if (lane) park(lane);
      if (running) unspill(webhookId);
    },
    sendApart: async (webhookId, message) => {
      const loaded = load.target(webhookId);
      if (!loaded) return null;
      const result = await sender.send(loaded.target, message);
      const lane = lanes.get(webhookId);
      if (lane && result.error === null) lane.lastSuccessAt = clock.schedule();
      return result;
    },
    stop,
    inFlight: () => slots.inUse,
  };
}
