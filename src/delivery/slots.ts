import type { Lane, Trust } from "./lane.ts";

/** The request slots that all webhooks share. */
export interface Slots {
  /** Whether one more request may begin for a lane. */
  admits(lane: Lane): boolean;
  /** Whether webhooks of this trust can have any slot now. */
  open(trust: Trust): boolean;
  take(lane: Lane, trust: Trust): void;
  release(lane: Lane, trust: Trust): void;
  readonly inUse: number;
}

/**
 * Keeps one webhook, one organization, or everything that is broken from taking all slots:
 * - failing and untried webhooks together hold at most half;
 * - the last quarter is for webhooks that have no request in flight;
 * - the last eighth is for organizations that hold less than an eighth.
 */
export function createSlots(total: number): Slots {
  const half = Math.max(1, Math.floor(total / 2));
  const quarter = Math.floor(total / 4);
  const eighth = Math.floor(total / 8);
  const byOrganization = new Map<number, number>();
  let inUse = 0;
  let unproven = 0;

  const open = (trust: Trust): boolean => inUse < total && (trust === "proven" || unproven < half);

  const count = (organizationId: number, change: number): void => {
    const next = (byOrganization.get(organizationId) ?? 0) + change;
    if (next === 0) byOrganization.delete(organizationId);
    else byOrganization.set(organizationId, next);
  };

  return {
    open,
    admits(lane) {
      const free = total - inUse;
      if (!open(lane.trust)) return false;
      if (lane.inFlight > 0 && free <= quarter) return false;
      return free > eighth || (byOrganization.get(lane.organizationId) ?? 0) < Math.max(1, eighth);
    },
    take(lane, trust) {
      inUse += 1;
      if (trust !== "proven") unproven += 1;
      count(lane.organizationId, 1);
    },
    release(lane, trust) {
      inUse -= 1;
      if (trust !== "proven") unproven -= 1;
      count(lane.organizationId, -1);
    },
    get inUse() {
      return inUse;
    },
  };
}
