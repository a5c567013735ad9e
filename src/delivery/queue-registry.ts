import type { Clock } from "../clock.ts";
import type { DeliveryQueue, Ending } from "../store/delivery-queue.ts";
import type { WebhookLabel } from "../store/webhooks.ts";
import { createBreaker, resetBreaker } from "./breaker.ts";
import type { Memory } from "./memory.ts";
import { createPace, isPaused, pause, withLimit } from "./pace.ts";
import type { Scheduler } from "./scheduler.ts";
import type { LoadSettings, WebhookSettings } from "./settings.ts";
import { createWebhookQueue, isHeld, isIdle, noteDue, type WebhookQueue } from "./webhook-queue.ts";
import { restart } from "./window.ts";

/** The queues of all webhooks that have something to do, and what changes about their webhooks. */
export interface QueueRegistry {
  /** A webhook's queue, made when it is missing. */
  of(webhookId: number): WebhookQueue;
  /** Null when nothing of it is in memory. */
  known(webhookId: number): WebhookQueue | null;
  /** Lets go of every delivery that is not being attempted; the store still has them. */
  park(queue: WebhookQueue): void;
  parkAll(): void;
  /** Something of a webhook became due by hand, or by its being changed. */
  look(webhookId: number): void;
  /** A webhook was changed, enabled, disabled or deleted. */
  reload(webhookId: number): void;
  /** Other daemons send to some webhooks now, and change what is known of them. */
  lose(isLost: (webhookId: number) => boolean): void;
  /** Takes settings over that were just loaded. */
  take(queue: WebhookQueue, settings: WebhookSettings): void;
  /** Ends what a webhook that was given up, or deleted, has pending; tries again until it is done. */
  endPending(ending: Ending): void;
  /** Lets go of webhooks that have nothing to do: the store knows all that counts of them. */
  sweep(): void;
  /** How many webhooks wait because their receivers have asked for it. */
  paused(): number;
}

export interface QueueRegistryOptions {
  store: Pick<DeliveryQueue, "release" | "ending" | "endPending" | "mayBegin">;
  load: LoadSettings;
  memory: Memory;
  clock: Clock;
  scheduler: Pick<Scheduler, "markReady" | "forget" | "pump" | "isRunning">;
  onEnded: (webhook: WebhookLabel, count: number) => void;
  onFault: (what: string, error: unknown) => void;
}

const FAULT_PAUSE_MS = 1_000;

export function createQueueRegistry(options: QueueRegistryOptions): QueueRegistry {
  const { store, memory, clock, scheduler } = options;
  const queues = new Map<number, WebhookQueue>();

  const queueOf = (webhookId: number): WebhookQueue => {
    const known = queues.get(webhookId);
    if (known) return known;
    const queue = createWebhookQueue(webhookId);
    queues.set(webhookId, queue);
    return queue;
  };

  /** Lets go of every delivery that is not being attempted; the store still has them. */
  const park = (queue: WebhookQueue): void => {
    const held = queue.waiting.concat(queue.retries);
    for (const { body } of held) memory.remove(body.length);
    store.release(held);
    Object.assign(queue, { waiting: [], retries: [], nextDueAt: Number.POSITIVE_INFINITY });
    queue.refusedSince.clear();
    queue.generation += 1;
    noteDue(queue);
    scheduler.forget(queue);
  };

  /** Something of a webhook became due by hand, or by its being changed. */
  const look = (webhookId: number): void => {
    if (!scheduler.isRunning) return;
    const queue = queueOf(webhookId);
    noteDue(queue);
    scheduler.markReady(queue);
    scheduler.pump();
  };

  const reload = (webhookId: number): void => {
    const queue = queues.get(webhookId);
    if (queue) {
      queue.isStale = true;
      park(queue);
    }
    applyChange(webhookId, queue).catch((error) => {
      options.onFault("reading a webhook", error);
      setTimeout(reload, FAULT_PAUSE_MS, webhookId);
    });
  };

  const lose = (isLost: (webhookId: number) => boolean): void => {
    for (const [webhookId, queue] of queues) {
      if (!isLost(webhookId)) continue;
      queue.isStale = true;
      queue.isTakenOver = false;
      queue.tenure += 1;
      park(queue);
      if (queue.inFlight === 0 && !queue.isFetching) queues.delete(webhookId);
    }
  };

  const applyChange = async (webhookId: number, queue: WebhookQueue | undefined): Promise<void> => {
    // Others may change what is read now until it comes to this daemon, which reads all of it then.
    if (!store.mayBegin(webhookId)) return endDeleted(webhookId);
    const generation = queue?.generation;
    const settings = await options.load(webhookId);
    if (settings) {
      // What has let go of it meanwhile, a change or a hand-over, has it read again.
      if (queue && generation === queue.generation) take(queue, settings);
      if (settings.enabled) look(webhookId);
      return;
    }
    const last = queues.get(webhookId);
    if (last) {
      // What was handed over while this was read is let go of too.
      park(last);
      last.settings = null;
      queues.delete(webhookId);
    }
    await endDeleted(webhookId);
  };

  /** That can be done by any daemon, also where none sends to it. */
  const endDeleted = async (webhookId: number): Promise<void> => {
    const ending = await store.ending(webhookId);
    if (ending?.reason === "webhook_deleted") endPending(ending);
  };

  /** Takes settings over that were just loaded. */
  const take = (queue: WebhookQueue, settings: WebhookSettings): void => {
    const before = queue.settings;
    if (!before) {
      queue.breaker = createBreaker(settings.failureCount, clock.schedule());
      queue.isProven = settings.lastSuccessAt !== null;
    } else if (before.target.url !== settings.target.url || settings.enabled !== before.enabled) {
      // A new target, or one that was turned on again, starts with a clean record.
      resetBreaker(queue.breaker);
      restart(queue.window, performance.now());
      queue.pace = createPace(settings.pace);
      // The store has made due what waited before the change; what was put off since by an answer to the former URL is not.
      queue.hastenBefore = clock.wall();
      queue.hasDueRetries = true;
    }
    queue.pace = withLimit(queue.pace, settings.pace);
    if (!queue.isTakenOver) takeOver(queue, settings);
    queue.failureCount = settings.failureCount;
    queue.isGivenUp = false;
    if (settings.enabled) queue.isGivenUpTold = false;
    queue.isStale = false;
    queue.settings = settings;
  };

  /** What daemons before this one were told. Only who may send to a webhook now is sure that it stays at that. */
  const takeOver = (queue: WebhookQueue, { lastSuccessAt, pausedUntil }: WebhookSettings): void => {
    if (lastSuccessAt !== null) queue.lastSuccessAt = Math.max(queue.lastSuccessAt ?? 0, lastSuccessAt);
    if (pausedUntil !== null) pause(queue.pace, performance.now() + pausedUntil - clock.schedule());
    queue.isTakenOver = store.mayBegin(queue.webhookId);
  };

  const endPending = (ending: Ending): void => {
    store.endPending(ending, options.onEnded).catch((error) => {
      options.onFault("ending pending deliveries", error);
      setTimeout(endPending, FAULT_PAUSE_MS, ending);
    });
  };

  /** Lets go of webhooks that have nothing to do: the store knows all that counts of them. */
  const sweep = (): void => {
    const monotonic = performance.now();
    for (const queue of queues.values()) {
      // Where only the lease is in doubt for a moment, what was learned of it stays.
      const isOthers = !queue.isTakenOver && !store.mayBegin(queue.webhookId) && !isHeld(queue);
      if (!isOthers && !isIdle(queue, monotonic)) continue;
      queues.delete(queue.webhookId);
      scheduler.forget(queue);
    }
  };

  return {
    of: queueOf,
    known: (webhookId) => queues.get(webhookId) ?? null,
    park,
    parkAll() {
      for (const queue of queues.values()) park(queue);
    },
    look,
    reload,
    lose,
    take,
    endPending,
    sweep,
    paused() {
      const monotonic = performance.now();
      let count = 0;
      for (const { pace } of queues.values()) if (isPaused(pace, monotonic)) count += 1;
      return count;
    },
  };
}
