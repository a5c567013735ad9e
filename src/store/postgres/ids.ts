import { idAt } from "../../ids.ts";

/**
 * Ids of several daemons: the milliseconds of ids.ts, then 6 bits of counter, then 6 bits of the number that the
 * daemon holds (members.ts), so that no two make the same. They are in the order of their making only by daemon, and in no order of their
 * commits at all.
 */
const NUMBERS = 64;
/** The number of those that hold none: commands, which make no events. */
export const NO_NUMBER = NUMBERS - 1;
/** Daemons at once. */
export const MOST_DAEMONS = NUMBERS - 1;

export interface DaemonIds {
  next(): number;
  /** From now on with this number. */
  setNumber(number: number): void;
  /** No id that was made by now, by whichever daemon with a right clock, is above. */
  ceiling(): number;
}

export function createDaemonIds(now: () => number): DaemonIds {
  let number = NO_NUMBER;
  /** Position of the latest id, without the number. */
  let position = 0;
  return {
    next() {
      position = Math.max(position + 1, idAt(now()) / NUMBERS);
      return position * NUMBERS + number;
    },
    setNumber(next) {
      number = next;
    },
    ceiling: () => Math.max(position * NUMBERS + NUMBERS - 1, idAt(now() + 1) - 1),
  };
}
