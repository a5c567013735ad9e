import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { startHousekeeping } from "../../../src/store/sqlite/housekeeping.ts";
import { until } from "../../support/daemon.ts";

let looks: number;
let tidied: number;
let saved: number;
let isFaulty: boolean;
let told: string[];
let tidyFault: string | null;
let clockFault: string | null;
let stop: () => Promise<void>;

beforeEach(() => {
  [looks, tidied, saved, isFaulty, told, tidyFault, clockFault] = [0, 0, 0, false, [], null, null];
  stop = startHousekeeping({
    tidy: async () => {
      if (tidyFault !== null) throw new Error(tidyFault);
      tidied += 1;
    },
    saveClock: () => {
      if (clockFault !== null) throw new Error(clockFault);
      saved += 1;
    },
    isFaulty: () => {
      looks += 1;
      return isFaulty;
    },
    onFault: (error) => told.push((error as Error).message),
  });
});
afterEach(() => stop());

/** So many times it has looked at whether writing works, well or not. */
const looked = async (times: number): Promise<void> => {
  const end = looks + times;
  await until("it has looked", () => looks >= end);
};

describe("housekeeping", () => {
  test("tidies four times a second, and once more at the end, when the clock is written down too", async () => {
    const began = performance.now();
    await until("it has tidied twice", () => tidied === 2);
    expect(performance.now() - began).toBeGreaterThan(450);
    expect(saved).toBe(0);
    const before = tidied;
    await stop();
    expect([tidied, saved]).toEqual([before + 1, 1]);
    await Bun.sleep(300);
    expect(tidied).toBe(before + 1);
  });

  test("tries whether writing works again as long as it does not, before it tidies", async () => {
    isFaulty = true;
    clockFault = "disk full";
    await looked(2);
    expect([tidied, told]).toEqual([0, ["disk full"]]);
    clockFault = null;
    await until("it tidies again", () => tidied > 0);
    expect(saved).toBeGreaterThan(0);
  });

  test("tells of a failure once, and again only after it was well, or for another", async () => {
    for (const fault of ["one", "two", null, "two"]) {
      tidyFault = fault;
      await looked(2);
    }
    expect(told).toEqual(["one", "two", "two"]);
  });
});
