import type { Clock } from "../clock.ts";
import type { ClaimedDelivery, DeliveryQueue, RecoverRange, Unfinished } from "../store/delivery-queue.ts";
import { messageOf } from "./attempt.ts";
import { createAttemptRecorder } from "./attempt-recorder.ts";
import { createRush } from "./busy.ts";
import { createCompletion } from "./completion.ts";
import { createFetcher, MAX_WAITING } from "./fetcher.ts";
import { createMemory } from "./memory.ts";
import type { DeliveryObserver } from "./observer.ts";
import { createQueueRegistry } from "./queue-registry.ts";
import { type RetryPolicy, spanOf } from "./retry-policy.ts";
import { createScheduler } from "./scheduler.ts";
import type { AttemptResult, Message, Sender } from "./send.ts";
import type { LoadSettings } from "./settings.ts";
import { createSlots } from "./slots.ts";
import { isOn, noteDue, noteNew } from "./webhook-queue.ts";

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
  /** TLS connections that have been in the opening for less than about a second. */
  handshakes: () => number;
  observer: DeliveryObserver;
}

const FAULT_PAUSE_MS = 1_000;
const SWEEP_MS = 30_000;

/**
 * Joins the parts: queues of webhooks, the fetcher that fills them, the scheduler that says what begins, and the
 * recorder that writes what came of it. Every result goes the way end → decide → recorder → written.
 */
export function createDeliveryEngine(options: EngineOptions): DeliveryEngine {
  const { deliveries: store, clock, sender, policy, observer } = options;
  const memory = createMemory();
  const slots = createSlots({
    total: options.concurrency,
    timeoutMs: options.requestTimeoutMs,
    now: () => performance.now(),
  });
  const recorder = createAttemptRecorder({
    queue: store,
    onWritten: () => {
      scheduler.pump();
      noteDrained();
    },
    onEnding: (ending) => registry.endPending(ending),
    onFault: (error) => observer.fault("after an attempt", error),
  });
  const fetcher = createFetcher({
    store,
    load: options.load,
    memory,
    schedule: clock.schedule,
    isRunning: () => scheduler.isRunning,
    onSettings: (queue, settings) => registry.take(queue, settings),
    onFetched: (queue, nextLook) => {
      scheduler.wakeAt(queue, nextLook);
      if (isOn(queue)) scheduler.markReady(queue);
      scheduler.pump();
    },
    onFault: (error) => observer.fault("reading due deliveries", error),
  });
  const scheduler = createScheduler({
    slots,
    memory,
    clock,
    mayBegin: () => !recorder.isStuck,
    maySendTo: store.mayBegin,
    fetch: fetcher.fetch,
    begin: (attempt) =>
      sender.attempt(attempt.settings.target, messageOf(attempt, options.formatId), (result) =>
        complete(attempt, result),
      ),
    onFault: (error) => observer.fault("choosing what to send", error),
  });
  const registry = createQueueRegistry({
    store,
    load: options.load,
    memory,
    clock,
    scheduler,
    onEnded: observer.ended,
    onFault: observer.fault,
  });
  const complete = createCompletion({
    store,
    clock,
    judging: {
      policy,
      span: spanOf(policy),
      maxWindow: options.webhookConcurrency,
      isRushed: createRush(options.handshakes),
    },
    memory,
    recorder,
    registry,
    scheduler,
    observer,
    onReleased: () => noteDrained(),
  });
  let sweeping: ReturnType<typeof setInterval> | undefined;
  let onDrained: (() => void) | null = null;

  // ── new deliveries ────────────────────────────────────────────────────────────────────────────────

  const wants = (webhookId: number, length: number): boolean => {
    if (!scheduler.isRunning) return false;
    const queue = registry.of(webhookId);
    const isFull = queue.waiting.length + queue.expected >= MAX_WAITING || memory.isFull;
    // What is in the store already must not be overtaken.
    if (isOn(queue) && !queue.hasBacklog && !queue.isFetching && !isFull) {
      queue.expected += 1;
      memory.add(length);
      return true;
    }
    noteNew(queue);
    scheduler.markReady(queue);
    return false;
  };

  const accept = (claimed: readonly ClaimedDelivery[]): void => {
    for (const delivery of claimed) {
      const queue = registry.of(delivery.webhookId);
      queue.expected = Math.max(0, queue.expected - 1);
      const isOurs = isOn(queue) && store.mayBegin(delivery.webhookId);
      if (isOurs && scheduler.isRunning) queue.waiting.push(delivery);
      else {
        // Switched off meanwhile, or gone to another daemon.
        memory.remove(delivery.body.length);
        store.release([delivery]);
        noteDue(queue);
      }
      scheduler.markReady(queue);
    }
    // Acks go first: what begins now may take a while under load.
    setImmediate(scheduler.pump);
  };

  const noteDrained = (): void => {
    if (slots.inUse === 0) onDrained?.();
  };

  // ── begin and end ─────────────────────────────────────────────────────────────────────────────────

  /** Takes up what was left unfinished by the daemon before this one, or by others. */
  const resume = (): void => {
    if (!scheduler.isRunning) return;
    const found = ({ pending, ending }: Unfinished): void => {
      if (!scheduler.isRunning) return;
      ending.forEach(registry.endPending);
      pending.forEach(registry.look);
    };
    store.unfinished(found).catch((error) => {
      observer.fault("reading what is pending", error);
      setTimeout(resume, FAULT_PAUSE_MS);
    });
  };

  return {
    start() {
      scheduler.start();
      sweeping = setInterval(registry.sweep, SWEEP_MS).unref();
      store.watch({
        due: registry.look,
        changed: registry.reload,
        gained: resume,
        lost: registry.lose,
      });
      resume();
    },
    wants,
    accept,
    reload: registry.reload,
    retry: async (webhookId, deliveryId) => {
      // What was attempted is written first: a retry by hand is of what is known then.
      await recorder.flush();
      await store.retry(webhookId, deliveryId);
      registry.known(webhookId)?.refusedSince.delete(deliveryId);
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
      const queue = registry.known(webhookId);
      if (queue && result.error === null) queue.lastSuccessAt = clock.schedule();
      return result;
    },
    stop: (timeoutMs) => {
      scheduler.stop();
      clearInterval(sweeping);
      registry.parkAll();
      return new Promise<boolean>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs, false);
        onDrained = () => {
          clearTimeout(timer);
          resolve(true);
        };
        noteDrained();
      });
    },
    inFlight: () => slots.inUse,
    waiting: registry.paused,
  };
}
