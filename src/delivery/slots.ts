import type { Trust } from "./webhook-queue.ts";

/** The request slots that all webhooks share: one may be taken where both `open` and `hasRoomFor` say so. */
export interface Slots {
  /** Whether webhooks of this trust can have a slot now: those that are busy (some request in flight), or those that are not. */
  open(trust: Trust, isBusy: boolean): boolean;
  /** Whether webhooks of this organization can. */
  hasRoomFor(organizationId: number): boolean;
  /** Whether webhooks of this trust are let in only now and then: then the one that became ready last goes first. */
  newestFirst(trust: Trust): boolean;
  /** Monotonic moment at which the next of those that are let in now and then may go; in the past when none has to wait. */
  readonly nextTurn: number;
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
 * - the last quarter of that half is for first tries, let in one at a time, the newest first;
 * - the last quarter, of many slots the last 512, is for webhooks that have no request in flight;
 * - the last part of that is let in one at a time too, the newest first;
 * - the last eighth, of many slots the last 128, is for organizations that hold less than an eighth.
 * What goes one at a time goes so slowly that time-outs free a slot again before the last one is taken: so a new
 * event is sent within a fraction of a second even while thousands of webhooks hang, of which nothing tells that one apart.
 */
export function createSlots({ total, timeoutMs, now }: SlotOptions): Slots {
  const half = Math.max(1, Math.floor(total / 2));
  const regular = half - Math.floor(half / 4);
  const firstTryPause = timeoutMs / Math.max(1, half - regular);
  const eighth = Math.floor(total / 8);
  const forIdle = Math.min(Math.floor(total / 4), KEPT_FOR_IDLE);
  const forSmall = Math.min(eighth, KEPT_FOR_SMALL);
  // Between the two, so that an organization that holds much has some of it.
  const slow = Math.floor((forIdle + forSmall) / 2);
  const slowPause = timeoutMs / Math.max(1, slow - forSmall);
  const byOrganization = new Map<number, number>();
  let inUse = 0;
  let unproven = 0;
  let nextFirstTry = 0;
  let nextSlow = 0;

  const isSlow = (): boolean => total - inUse <= slow;

  const count = (organizationId: number, change: number): void => {
    const next = (byOrganization.get(organizationId) ?? 0) + change;
    if (next === 0) byOrganization.delete(organizationId);
    else byOrganization.set(organizationId, next);
  };

  return {
    open(trust, isBusy) {
      if (inUse >= total) return false;
      if (isBusy && total - inUse <= forIdle) return false;
      if (isSlow() && now() < nextSlow) return false;
      if (trust === "proven" || unproven < regular) return true;
      return trust === "untried" && !isBusy && unproven < half && now() >= nextFirstTry;
    },
    hasRoomFor(organizationId) {
      if (total - inUse > forSmall) return true;
      return (byOrganization.get(organizationId) ?? 0) < Math.max(1, eighth);
    },
    newestFirst: (trust) => isSlow() || (trust === "untried" && unproven >= regular),
    take(trust, organizationId) {
      if (isSlow()) nextSlow = now() + slowPause;
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
    get nextTurn() {
      const areBothToCome = Math.min(nextFirstTry, nextSlow) > now();
      return areBothToCome ? Math.min(nextFirstTry, nextSlow) : Math.max(nextFirstTry, nextSlow);
    },
    get inUse() {
      return inUse;
    },
  };
}
