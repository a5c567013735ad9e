import type { Clock } from "../../clock.ts";
import { createIdSource, type IdSource, idAt, timeOfId } from "../../ids.ts";
import { StoreFault } from "../faults.ts";
import type { StoreDatabase } from "./database.ts";
import { getMeta, setMeta } from "./meta.ts";

/**
 * Ids that no later start gives again, whatever a power cut takes back and wherever the clock is then. Requests
 * carry ids before the rows with them are on disk; so what is on disk first is up to where ids may go, a few
 * seconds ahead, and the next start begins beyond that.
 */
export interface ReservedIds {
  /** Gives ids within what is reserved. Throws StoreFault when `reserve` was not called and nothing is left. */
  issue: IdSource;
  /**
   * To be called before ids are given, outside a transaction. It waits for the disk only when no events came for
   * seconds, or when the disk takes seconds; otherwise more is reserved by the syncs that the events need anyway.
   * Throws what a write throws.
   */
  reserve(): void;
  /** The latest id that was given, by this start or any before. */
  lastId(): number;
  /** Gives back what was not used, so that the next start has no gap; to be called last. */
  release(): void;
}

/** How far ahead: after a crash the next ids may say a time that is this far off. */
const AHEAD_MS = 5_000;
/** With less than this left, more is reserved while events go on. */
const RENEW_MS = 3_000;
/** With less than this left, events wait: it is four million ids. */
const LEAST_MS = 1_000;

export interface ReservedIdsOptions {
  clock: Clock;
  /** Writes the clock down, in the same transaction. */
  noteClock: () => void;
  /** The largest id that is stored: before anything was reserved it was the latest given. */
  newest: number;
}

export function createReservedIds(
  { orm, transaction, withNextSync }: StoreDatabase,
  { clock, noteClock, newest }: ReservedIdsOptions,
): ReservedIds {
  let last = Math.max(newest, Number(getMeta(orm, "ids_reserved") ?? 0));
  /** Up to here ids may be given: the disk has it. */
  let through = last;
  let isRenewing = false;

  // Where the clock has run past what is reserved, ids stay below it and count up.
  const next = createIdSource(() => Math.min(clock.schedule(), timeOfId(through) - LEAST_MS), last);

  const now = (): number => Math.max(clock.schedule(), timeOfId(last));
  const note = (bound: number): void => {
    setMeta(orm, "ids_reserved", String(bound));
    noteClock();
  };

  const renew = (bound: number): void => {
    transaction("relaxed", () => note(bound));
    // A call of its own would make the events that come right after it wait for two.
    isRenewing = true;
    withNextSync((error) => {
      isRenewing = false;
      if (error === null) through = Math.max(through, bound);
    });
  };

  return {
    issue(count = 1) {
      const first = next(count);
      if (first + count - 1 > through) throw new StoreFault("no ids are reserved on the disk");
      last = first + count - 1;
      return first;
    },
    reserve() {
      const at = now();
      const left = timeOfId(through) - at;
      if (left >= RENEW_MS) return;
      const bound = idAt(at + AHEAD_MS);
      if (left >= LEAST_MS) {
        if (!isRenewing) renew(bound);
        return;
      }
      transaction("durable", () => note(bound));
      through = bound;
    },
    lastId: () => last,
    release() {
      if (through === last) return;
      transaction("durable", () => note(last));
      through = last;
    },
  };
}
