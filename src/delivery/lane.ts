import type { DueDelivery } from "../store/sqlite/deliveries.ts";
import type { DisabledReason } from "../store/sqlite/schema.ts";
import type { RetryPolicy } from "./retry-policy.ts";
import { restAfter } from "./retry-policy.ts";
import type { Target } from "./send.ts";

/** How much a webhook is trusted with request slots: only one that has just answered well is `proven`. */
export type Trust = "proven" | "untried" | "failing";

/** A pending delivery in memory. */
export interface Job extends DueDelivery {
  /** Ends its run of attempts; null until one has failed. */
  controller: AbortController | null;
  /** Where the present attempt goes. */
  target: Target | null;
  /** Whether a request slot is reserved for the attempt that comes next. */
  granted: boolean;
  /** Set while the run waits for a slot. */
  takeTurn: (() => void) | null;
  /** Whether an attempt is being made, or its result is not yet written. */
  attempting: boolean;
  /** Whether it was retried by hand during the present attempt: should that fail, the next one is due at once. */
  renewed: boolean;
  /** Whether p-retry is sleeping until the next attempt. */
  asleep: boolean;
  /** What the lane was when the attempt began. */
  trust: Trust;
  epoch: number;
}

/** All that is in memory of one webhook: its deliveries, and how well it has been doing. */
export interface Lane {
  readonly webhookId: number;
  readonly webhookUuid: string;
  /** What its owner calls it. */
  webhookName: string | null;
  readonly organizationId: number;
  readonly organizationUuid: string;
  /** Null while the webhook is disabled or deleted: nothing is sent then. */
  target: Target | null;
  /** Wall time at which the target's rotated secret is no longer used. */
  targetUntil: number;
  /** Ready to be tried, in order of arrival. */
  queue: Job[];
  /** Every delivery in memory, by id: queued, being tried, asleep, or not yet written. */
  held: Map<number, Job>;
  /** Whether the table may hold due deliveries that are not in memory. */
  spilled: boolean;
  /** Of the deliveries that were never tried, all up to this id are in memory. */
  freshThrough: number;
  /** No delivery with a larger id was tried since the start. */
  triedThrough: number;
  /** Schedule time at which the table will hold due deliveries again. */
  nextDue: number;
  inFlight: number;
  /** Requests that may be in flight: grows by one with each success, falls to one on failure. */
  window: number;
  trust: Trust;
  /** Failed attempts in a row, as in the table. */
  failureCount: number;
  /** Failures in a row, those that began together counted once. */
  rounds: number;
  /** Grows with each round, to tell attempts that began before it from those after. */
  epoch: number;
  /** Schedule time until which a failing webhook is left alone. */
  restUntil: number;
  /** Schedule time. */
  lastSuccessAt: number | null;
  lastTriggeredAt: number | null;
  /** Set when the daemon gives the webhook up, until that is written. */
  disabledReason: DisabledReason | null;
}

/** Small, so that many hanging webhooks cost few requests before their first timeout. */
const FIRST_WINDOW = 1;

export interface LaneInput {
  webhookId: number;
  webhookUuid: string;
  webhookName: string | null;
  organizationId: number;
  organizationUuid: string;
  target: Target | null;
  targetUntil: number;
  failureCount: number;
  lastSuccessAt: number | null;
}

export function createLane(input: LaneInput): Lane {
  const failing = input.failureCount > 0;
  return {
    ...input,
    queue: [],
    held: new Map(),
    spilled: false,
    freshThrough: 0,
    triedThrough: 0,
    nextDue: Number.POSITIVE_INFINITY,
    inFlight: 0,
    window: FIRST_WINDOW,
    trust: failing ? "failing" : input.lastSuccessAt === null ? "untried" : "proven",
    rounds: 0,
    epoch: 0,
    restUntil: 0,
    lastTriggeredAt: null,
    disabledReason: null,
  };
}

export function noteSuccess(lane: Lane, now: number, maxWindow: number): void {
  lane.failureCount = 0;
  lane.rounds = 0;
  lane.restUntil = 0;
  lane.trust = "proven";
  lane.window = Math.min(maxWindow, lane.window + 1);
  lane.lastSuccessAt = now;
}

/** `epoch` is the lane's epoch when the attempt began: of attempts that fail together only the first lengthens the rest. */
export function noteFailure(lane: Lane, epoch: number, now: number, policy: RetryPolicy): void {
  lane.failureCount += 1;
  lane.window = 1;
  lane.trust = "failing";
  if (epoch !== lane.epoch) return;
  lane.epoch += 1;
  lane.rounds += 1;
  lane.restUntil = now + restAfter(policy, lane.rounds);
}

/** A new target, or one that was turned on again, starts with a clean record. */
export function forgive(lane: Lane): void {
  lane.rounds = 0;
  lane.restUntil = 0;
  lane.epoch += 1;
  lane.window = FIRST_WINDOW;
  lane.trust = lane.trust === "failing" ? "untried" : lane.trust;
}

/** Whether one more attempt may begin, as far as the webhook itself goes. */
export function mayStart(lane: Lane, now: number): boolean {
  return lane.target !== null && lane.inFlight < lane.window && now >= lane.restUntil;
}
