import type { ClaimedDelivery } from "../store/delivery-queue.ts";
import { type Breaker, createBreaker } from "./breaker.ts";
import { createPace, type Pace } from "./pace.ts";
import type { WebhookSettings } from "./settings.ts";
import { createWindow, type Window } from "./window.ts";

/**
 * All that is in memory of one webhook. What is to be sent comes from the store:
 *
 *              something may be due               settings and deliveries are there
 *    idle ───────────────────────────▶ fetching ────────────────────────────────────▶ ready
 *      ▲                                  │ ▲                                           │
 *      │       nothing was due            │ │   memory is empty, the store has more     │
 *      └──────────────────────────────────┘ └───────────────────────────────────────────┤
 *      └────────────────────────────────────────────────────────────────────────────────┘
 *                                    all was sent and recorded
 *
 * - idle: nothing is in memory, and nothing in the store is due before `nextDueAt`.
 * - fetching: settings are loaded if they are not known, deliveries are claimed. Nobody waits: the end of a fetch
 *   calls the scheduler. What becomes due meanwhile (`missed`) leads to another fetch.
 * - ready: `waiting` or `retries` has something; whether it may be sent now is for window, pace, breaker and slots.
 *
 * A fetch is begun by the scheduler and ended by the fetcher. What is handed over with its event (engine.ts), or put back
 * for later (completion.ts), makes an idle one ready without a fetch. What was attempted is let go of by completion.ts, all
 * that waits by queue-registry.ts, where the webhook was changed or is another daemon's now. A webhook that is off
 * (disabled or deleted) is idle with `settings` null or not enabled; what it held is released.
 */
export interface WebhookQueue {
  readonly webhookId: number;
  /** Null until they are loaded, and once the webhook is deleted. */
  settings: WebhookSettings | null;
  /** Whether the settings may have changed since they were loaded. */
  isStale: boolean;
  /** Whether what other daemons have learned of its receiver was taken over since the webhook came to this one. */
  isTakenOver: boolean;
  /** Never failed, in order of arrival; what a receiver has asked to wait for is put back in front. */
  waiting: ClaimedDelivery[];
  /** What failed before and is due again, in the order in which it became due. */
  retries: ClaimedDelivery[];
  /** New deliveries that were promised a place in `waiting`. */
  expected: number;
  /** Whether the store may hold deliveries that never failed, or failed ones that are due, beside those in memory. */
  hasBacklog: boolean;
  hasDueRetries: boolean;
  isFetching: boolean;
  /** What became due in the store during the fetch under way. */
  missed: "nothing" | "new deliveries" | "anything";
  /** Grows when all that was in memory is let go, so that the end of an older fetch is told from a newer one's. */
  generation: number;
  /** Grows when the webhook goes to other daemons: what was claimed before is of no use after it has come back. */
  tenure: number;
  /** Schedule time at which the store will hold due deliveries again. */
  nextDueAt: number;
  /** Wall time: deliveries that were last tried before this are tried although they are not due, as the receiver is back. */
  hastenBefore: number | null;
  inFlight: number;
  /** Of those in flight, how many had failed before. */
  retriesInFlight: number;
  /** Counts the requests that began, for taking turns. */
  starts: number;
  window: Window;
  pace: Pace;
  breaker: Breaker;
  /** Whether anything was ever answered well, or at least answered. */
  isProven: boolean;
  /** Failed attempts in a row. */
  failureCount: number;
  /** Schedule time. */
  lastSuccessAt: number | null;
  /** Since when (schedule time) deliveries have been answered with 429 alone, by id: of those in hand, until they end or are let go of. */
  refusedSince: Map<number, number>;
  /** Deliveries up to this id go alone: a message that held some of them was refused. */
  aloneThrough: number;
  /** Set when the daemon gives the webhook up, until that is written: nothing more begins. */
  isGivenUp: boolean;
  /** Whether it was told that the daemon has given the webhook up, until that is on again. */
  isGivenUpTold: boolean;
}

export function createWebhookQueue(webhookId: number): WebhookQueue {
  return {
    webhookId,
    settings: null,
    isStale: false,
    isTakenOver: false,
    waiting: [],
    retries: [],
    expected: 0,
    hasBacklog: true,
    hasDueRetries: true,
    isFetching: false,
    missed: "nothing",
    generation: 0,
    tenure: 0,
    nextDueAt: Number.POSITIVE_INFINITY,
    hastenBefore: null,
    inFlight: 0,
    retriesInFlight: 0,
    starts: 0,
    window: createWindow(),
    pace: createPace(null),
    breaker: createBreaker(),
    isProven: false,
    failureCount: 0,
    lastSuccessAt: null,
    refusedSince: new Map(),
    aloneThrough: 0,
    isGivenUp: false,
    isGivenUpTold: false,
  };
}

/** How much a webhook is trusted with request slots: one whose receiver has ever answered, and does not fail now, is `proven`. */
export type Trust = "proven" | "untried" | "failing";

export function trustOf({ breaker, isProven }: WebhookQueue): Trust {
  if (breaker.isAway && breaker.failingSince !== null) return "failing";
  if (breaker.isOpen) return "failing";
  return isProven ? "proven" : "untried";
}

/** Whether anything may be sent at all. */
export function isOn({ settings, isGivenUp }: WebhookQueue): boolean {
  return settings?.enabled === true && !isGivenUp;
}

/** Whether its settings, or what others have learned of its receiver, must be read before anything is sent. */
export function mustLoad({ settings, isStale, isTakenOver }: WebhookQueue): boolean {
  return settings === null || isStale || !isTakenOver;
}

/** Something may be due in the store that is not in memory. */
export function noteDue(queue: WebhookQueue): void {
  queue.hasBacklog = true;
  queue.hasDueRetries = true;
  queue.missed = "anything";
}

/** New deliveries are in the store that are not in memory. */
export function noteNew(queue: WebhookQueue): void {
  queue.hasBacklog = true;
  if (queue.missed === "nothing") queue.missed = "new deliveries";
}

/** After so long without a request nothing is lost with what was learned of a receiver that is doing well. */
const IDLE_AFTER_MS = 60_000;
/** After so long a pace that was learned says no more: what limits requests counts them over an hour at most, nearly always. */
const LEARNED_FOR_MS = 3_600_000;

/** Whether nothing would be lost if it were forgotten: all is sent, nothing is known to be wrong. */
export function isIdle(queue: WebhookQueue, monotonic: number): boolean {
  const { breaker, pace } = queue;
  if (isHeld(queue)) return false;
  // One that is not loaded yet is not off: what it has waits for its first fetch.
  if (queue.settings !== null && !isOn(queue)) return !queue.isStale;
  if (queue.hasBacklog || queue.hasDueRetries || queue.nextDueAt !== Number.POSITIVE_INFINITY) return false;
  if (breaker.isOpen || breaker.failingSince !== null) return false;
  if (pace.pausedUntil > monotonic) return false;
  return monotonic - pace.lastStartAt > (pace.learned > 0 ? LEARNED_FOR_MS : IDLE_AFTER_MS);
}

/** Whether anything of it is in memory, or under way. */
export function isHeld({ waiting, retries, inFlight, expected, isFetching }: WebhookQueue): boolean {
  return waiting.length + retries.length + inFlight + expected > 0 || isFetching;
}

/** Puts deliveries back in front, in the order of their ids. */
export function putBack(queue: WebhookQueue, deliveries: readonly ClaimedDelivery[]): void {
  for (const delivery of deliveries.toSorted((a, b) => a.id - b.id)) {
    const at = queue.waiting.findIndex(({ id }) => id > delivery.id);
    queue.waiting.splice(at === -1 ? queue.waiting.length : at, 0, delivery);
  }
}
