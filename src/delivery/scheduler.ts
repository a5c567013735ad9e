import { createAgenda } from "./agenda.ts";
import { type Attempt, createAttempt, lengthOf } from "./attempt.ts";
import { choose } from "./choice.ts";
import { takeGroup } from "./group.ts";
import type { Memory } from "./memory.ts";
import { noteStart } from "./pace.ts";
import { createReadyQueues, type Verdict } from "./ready-queues.ts";
import type { Slots } from "./slots.ts";
import { isOn, mustLoad, type WebhookQueue } from "./webhook-queue.ts";

/**
 * Decides when an attempt begins: the only one that does, for first tries, short pauses and long ones. It never reads
 * the store while it decides; a queue that must be filled is handed to `fetch`, whose end marks it ready again.
 */
export interface Scheduler {
  /** Something about a webhook has changed: it is looked at with the next `pump`. */
  markReady(queue: WebhookQueue): void;
  /** The webhook is looked at again at a moment (schedule time), if not before. */
  wakeAt(queue: WebhookQueue, at: number): void;
  forget(queue: WebhookQueue): void;
  /** Begins all that may begin now. */
  pump(): void;
  /** An attempt is over, and what it held is free. */
  release(attempt: Attempt): void;
  /** Nothing begins for a moment, as the process is out of descriptors. */
  rest(): void;
  start(): void;
  stop(): void;
  readonly isRunning: boolean;
}

export interface SchedulerOptions {
  slots: Slots;
  memory: Memory;
  clock: { schedule(): number; wall(): number };
  /** False while results cannot be written. */
  mayBegin: () => boolean;
  /** Whether this daemon may send to a webhook now. */
  maySendTo: (webhookId: number) => boolean;
  fetch: (queue: WebhookQueue, search: boolean) => void;
  begin: (attempt: Attempt) => void;
  onFault: (error: unknown) => void;
}

/**
 * So many requests and fetches begin in one turn of the event loop: what has arrived meanwhile is read before more is
 * begun. Far receivers still fill all slots within milliseconds; near ones answer within a turn or two, so that a burst
 * for thousands of webhooks does not open thousands of connections that only wait for us, nor keep others waiting while
 * all of their settings are loaded. A burst for 10,000 webhooks takes 500 MB without it, 380
 * with it; with 64 the fan-out to 100 webhooks is a fifth slower, as fewer results share a transaction.
 */
const MAX_IN_A_TURN = 256;
/** Bodies in flight, in characters: past this, nothing further begins. */
const MAX_IN_FLIGHT = 64 * 1024 * 1024;
const PAUSE_MS = 1_000;

export function createScheduler(options: SchedulerOptions): Scheduler {
  const { slots, memory, clock } = options;
  const ready = createReadyQueues(slots);
  const agenda = createAgenda<WebhookQueue | null>(clock.schedule, {
    wake: (queue) => queue && wake(queue),
    woken: () => pump(),
  });
  let isRunning = false;
  let isPumping = false;
  let inFlight = 0;
  /** Monotonic. */
  let restsUntil = 0;
  let begunInTurn = 0;
  let hasMore = false;

  const wake = (queue: WebhookQueue): void => {
    if (queue.nextDueAt <= clock.schedule()) {
      queue.nextDueAt = Number.POSITIVE_INFINITY;
      queue.hasDueRetries = true;
    } else {
      // It was woken for its pace or its breaker, and that moment has taken the place of this one.
      agenda.add(queue, queue.nextDueAt);
    }
    markReady(queue);
  };

  const markReady = (queue: WebhookQueue): void => {
    if (isRunning) ready.add(queue);
  };

  /** Whether this turn of the event loop has room for one thing more; if not, the next one goes on. */
  const takeTurn = (): boolean => {
    if (begunInTurn === 0) setImmediate(nextTurn);
    hasMore ||= begunInTurn >= MAX_IN_A_TURN;
    if (!hasMore) begunInTurn += 1;
    return !hasMore;
  };

  const nextTurn = (): void => {
    const goesOn = hasMore;
    begunInTurn = 0;
    hasMore = false;
    if (goesOn) pump();
  };

  const fetch = (queue: WebhookQueue, search: boolean): Verdict => {
    if (!takeTurn()) return "stop";
    options.fetch(queue, search);
    return "drop";
  };

  /** What the webhook that was looked at last sends next. */
  let chosen: "first" | "probe" | "retry" = "first";

  const look = (queue: WebhookQueue): Verdict => {
    const { settings } = queue;
    // What others send to is not even read: they may change it until it comes to this daemon.
    if (!options.maySendTo(queue.webhookId)) return "drop";
    // Also once a rotated secret is no longer used.
    if (settings && settings.targetUntil <= clock.wall()) queue.isStale = true;
    if (!settings || mustLoad(queue)) {
      // One that is being given up is read again once that is written, or was refused as the webhook had gone to others.
      const isEnding = queue.isGivenUp && queue.inFlight > 0;
      return queue.isFetching || isEnding ? "drop" : fetch(queue, false);
    }
    if (!isOn(queue)) return "drop";
    const now = clock.schedule();
    const choice = choose(queue, now, performance.now());
    if (typeof choice === "object") {
      agenda.add(queue, now + choice.wait);
      return "drop";
    }
    if (choice === "fetch" || choice === "search") return fetch(queue, choice === "search");
    chosen = choice;
    return takeTurn() ? "take" : "stop";
  };

  const mayBegin = (): boolean =>
    isRunning && inFlight < MAX_IN_FLIGHT && restsUntil <= performance.now() && options.mayBegin();

  const pump = (): void => {
    if (isPumping) return;
    const resting = restsUntil - performance.now();
    // Whatever else has woken it meanwhile, it goes on when the rest is over.
    if (resting > 0) agenda.add(null, clock.schedule() + resting);
    if (!mayBegin()) return;
    isPumping = true;
    try {
      while (inFlight < MAX_IN_FLIGHT && !hasMore) {
        const queue = ready.next(look);
        if (!queue) break;
        begin(queue);
      }
      const wait = slots.nextTurn - performance.now();
      if (wait > 0 && ready.hasIdle) agenda.add(null, clock.schedule() + wait);
    } catch (error) {
      options.onFault(error);
      agenda.add(null, clock.schedule() + PAUSE_MS);
    } finally {
      isPumping = false;
    }
  };

  const begin = (queue: WebhookQueue): void => {
    const startedAt = performance.now();
    const deliveries = takeGroup(queue, chosen, startedAt);
    for (const { body } of deliveries) memory.remove(body.length);
    const attempt = createAttempt(queue, deliveries, clock.schedule(), startedAt);
    inFlight += lengthOf(attempt);
    queue.inFlight += 1;
    queue.starts += 1;
    if (!attempt.isFirst) queue.retriesInFlight += 1;
    noteStart(queue.pace, startedAt);
    slots.take(attempt.trust, attempt.settings.organizationId);
    options.begin(attempt);
  };

  return {
    markReady,
    wakeAt: agenda.add,
    forget(queue) {
      ready.remove(queue);
      agenda.remove(queue);
    },
    pump,
    release(attempt) {
      const { queue, settings, trust, isFirst } = attempt;
      queue.inFlight -= 1;
      if (!isFirst) queue.retriesInFlight -= 1;
      inFlight -= lengthOf(attempt);
      slots.release(trust, settings.organizationId);
    },
    rest() {
      restsUntil = performance.now() + PAUSE_MS;
      agenda.add(null, clock.schedule() + PAUSE_MS);
    },
    start() {
      isRunning = true;
    },
    stop() {
      isRunning = false;
      agenda.stop();
    },
    get isRunning() {
      return isRunning;
    },
  };
}
