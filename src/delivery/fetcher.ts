import type { DeliveryQueue } from "../store/delivery-queue.ts";
import type { Memory } from "./memory.ts";
import type { LoadSettings, WebhookSettings } from "./settings.ts";
import { isOn, mustLoad, noteDue, type WebhookQueue } from "./webhook-queue.ts";
import { sizeOf } from "./window.ts";

/** Fills a webhook's queue from the store: its settings, when they are not known, and what may be sent. */
export interface Fetcher {
  /** Begins a fetch, of which one is under way at a time. `search`: one delivery that is not due yet. */
  fetch(queue: WebhookQueue, search: boolean): void;
}

export interface FetcherOptions {
  store: Pick<DeliveryQueue, "claim" | "release">;
  load: LoadSettings;
  memory: Memory;
  /** Schedule time. */
  schedule: () => number;
  /** Whether the engine still sends; what is claimed after that is given back. */
  isRunning: () => boolean;
  /** Takes over settings that were just loaded. */
  onSettings: (queue: WebhookQueue, settings: WebhookSettings) => void;
  /** The end of a fetch; `nextLook` is when (schedule time) the webhook is to be looked at again, though nobody asks. */
  onFetched: (queue: WebhookQueue, nextLook: number) => void;
  onFault: (error: unknown) => void;
}

/** Fetched at once for a webhook that can take hardly any. */
const MIN_FETCH = 8;
/** So many for each request that may be in flight. */
const FETCH_PER_REQUEST = 4;
/** A message can tell of so many. */
const FETCH_FOR_GROUPS = 100;
/** Deliveries of one webhook that wait in memory. */
export const MAX_WAITING = 512;
const FAULT_PAUSE_MS = 1_000;

export function createFetcher(options: FetcherOptions): Fetcher {
  const { store, load, memory, schedule } = options;

  /** How many are worth having in memory: a struggling webhook gets few, as it will try few. */
  const wantedOf = ({ window, settings }: WebhookQueue): number => {
    const least = settings?.isGrouped ? FETCH_FOR_GROUPS : MIN_FETCH;
    if (memory.isFull) return least;
    return Math.min(MAX_WAITING, Math.max(least, sizeOf(window) * FETCH_PER_REQUEST));
  };

  const fillSettings = async (queue: WebhookQueue): Promise<void> => {
    const { webhookId, generation } = queue;
    const settings = await load(webhookId);
    if (generation !== queue.generation) return;
    if (settings) options.onSettings(queue, settings);
    else Object.assign(queue, { settings: null, hasBacklog: false, hasDueRetries: false });
  };

  const fill = async (queue: WebhookQueue, search: boolean): Promise<void> => {
    const { webhookId, generation } = queue;
    if (mustLoad(queue)) await fillSettings(queue);
    if (generation !== queue.generation || !isOn(queue)) return;
    const wanted = wantedOf(queue);
    const { hastenBefore } = queue;
    const claim = await store.claim({
      webhookId,
      fresh: search ? 0 : Math.max(0, wanted - queue.waiting.length),
      again: search ? 1 : queue.hasDueRetries ? Math.max(0, wanted - queue.retries.length) : 0,
      dueBy: search || hastenBefore !== null ? Number.POSITIVE_INFINITY : schedule(),
      triedBefore: hastenBefore ?? Number.POSITIVE_INFINITY,
    });
    const claimed = claim.fresh.concat(claim.again);
    if (generation !== queue.generation || !isOn(queue) || !options.isRunning()) {
      store.release(claimed);
      return;
    }
    queue.waiting.push(...claim.fresh);
    queue.retries.push(...claim.again);
    for (const { body } of claimed) memory.add(body.length);
    if (claim.nextDueAt !== null) queue.nextDueAt = claim.nextDueAt;
    if (search) return;
    queue.hasBacklog = claim.moreFresh;
    // Of retries nothing new is known when none was asked for.
    if (claim.nextDueAt === null) return;
    queue.hasDueRetries = claim.moreAgain;
    if (claim.moreAgain || hastenBefore === null) return;
    // All of them are in memory or under way; those that fail again keep to their schedules.
    queue.hastenBefore = null;
    queue.hasDueRetries = true;
  };

  const run = async (queue: WebhookQueue, search: boolean): Promise<number> => {
    try {
      await fill(queue, search);
      return queue.nextDueAt;
    } catch (error) {
      options.onFault(error);
      noteDue(queue);
      return schedule() + FAULT_PAUSE_MS;
    }
  };

  return {
    fetch(queue, search) {
      const { generation } = queue;
      queue.isFetching = true;
      queue.missed = "nothing";
      void run(queue, search).then((nextLook) => {
        queue.isFetching = false;
        const isOutdated = generation !== queue.generation;
        if (isOutdated || queue.missed === "anything") noteDue(queue);
        else if (queue.missed === "new deliveries") queue.hasBacklog = true;
        // Whoever looked at it meanwhile has left it to this fetch, which brought nothing.
        options.onFetched(queue, isOutdated ? schedule() : nextLook);
      });
    },
  };
}
