import type { Trust } from "./webhook-queue.ts";

/** The request slots that all webhooks share. */
export interface Slots {
  /** Whether one more request may begin for a webhook of this trust, organization and requests in flight. */
  admits(trust: Trust, organizationId: number, inFlight: number): boolean;
  /** Whether webhooks of this trust can have any slot now. */
  open(trust: Trust): boolean;
  /** Whether only first tries are let in, now and then: then the webhook that became ready last goes first. */
  readonly newestFirst: boolean;
  /** Monotonic moment of the next such first try. */
  readonly nextFirstTry: number;
  take(trust: Trust, organizationId: number): void;
  release(trust: Trust, organizationId: number): void;
  readonly inUse: number;
}

export interface SlotOptions {
  /** Requests in flight, all webhooks together. */
  total: number;
  /** The longest that a request holds its slot. */
  timeoutMs: number;
  /** Monotonic, milliseconds. */
  now: () => number;
}

/**
 * What is kept free need not grow with the slots: while answers come, thousands in flight free hundreds within a tenth
 * of a second, and where none come, as many webhooks are tried beside those that hang.
 */
const KEPT_FOR_IDLE = 512;
const KEPT_FOR_SMALL = 128;

/**
 * Keeps one webhook, one organization, or everything that is broken from taking all slots:
 * - failing and untried webhooks together hold at most half;
 * - the last quarter of that half is for first tries, let in so slowly that time-outs free it again before it
 *   is full, the newest first: so a new webhook is tried within a fraction of a second even while hundreds hang;
 * - the last quarter, of many slots the last 512, is for webhooks that have no request in flight;
 * - the last eighth, of many slots the last 128, is for organizations that hold less than an eighth.
 */
export function createSlots({ total, timeoutMs, now }: SlotOptions): Slots {
  const half = Math.max(1, Math.floor(total / 2));
  const regular = half - Math.floor(half / 4);
  const firstTryPause = timeoutMs / Math.max(1, half - regular);
  const eighth = Math.floor(total / 8);
  const forIdle = Math.min(Math.floor(total / 4), KEPT_FOR_IDLE);
  const forSmall = Math.min(eighth, KEPT_FOR_SMALL);
  const byOrganization = new Map<number, number>();
  let inUse = 0;
  let unproven = 0;
  let nextFirstTry = 0;

  const open = (trust: Trust): boolean => {
    if (inUse >= total) return false;
    if (trust === "proven" || unproven < regular) return true;
    return trust === "untried" && unproven < half && now() >= nextFirstTry;
  };

  const count = (organizationId: number, change: number): void => {
    const next = (byOrganization.get(organizationId) ?? 0) + change;
    if (next === 0) byOrganization.delete(organizationId);
    else byOrganization.set(organizationId, next);
  };

  return {
    open,
    admits(trust, organizationId, inFlight) {
      const free = total - inUse;
      if (!open(trust)) return false;
      if (inFlight > 0 && free <= forIdle) return false;
      return free > forSmall || (byOrganization.get(organizationId) ?? 0) < Math.max(1, eighth);
    },
    take(trust, organizationId) {
      inUse += 1;
      if (trust !== "proven") {
        if (unproven >= regular) nextFirstTry = now() + firstTryPause;
        unproven += 1;
      }
      count(organizationId, 1);
    },
    release(trust, organizationId) {
      inUse -= 1;
      if (trust !== "proven") unproven -= 1;
      count(organizationId, -1);
    },
    get newestFirst() {
      return unproven >= regular;
    },
    get nextFirstTry() {
      return nextFirstTry;
    },
    get inUse() {
      return inUse;
    },
  };
}
