import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { startHousekeeping } from "../../../src/store/sqlite/housekeeping.ts";

let tidied: number;
let saved: number;
let isFaulty: boolean;
let told: string[];
let tidyFault: string | null;
let clockFault: string | null;
let beat: (() => void) | null;
let stop: () => Promise<void>;

beforeEach(() => {
  [tidied, saved, isFaulty, told, tidyFault, clockFault] = [0, 0, false, [], null, null];
  stop = startHousekeeping({
    tidy: async () => {
      if (tidyFault !== null) throw new Error(tidyFault);
      tidied += 1;
    },
    saveClock: () => {
      if (clockFault !== null) throw new Error(clockFault);
      saved += 1;
    },
    isFaulty: () => isFaulty,
    onFault: (error) => told.push((error as Error).message),
    everyBeat: (run) => {
      beat = run;
      return () => {
        beat = null;
      };
    },
  });
});
afterEach(() => stop());

/** So many beats, each of which has ended. */
const beats = async (times: number): Promise<void> => {
  for (let n = 0; n < times; n += 1) {
    beat?.();
    await Bun.sleep(0);
  }
};

describe("housekeeping", () => {
  test("tidies with each beat, and once more at the end, when the clock is written down too", async () => {
    await beats(2);
    expect([tidied, saved]).toEqual([2, 0]);
    await stop();
    expect([tidied, saved]).toEqual([3, 1]);
    expect(beat).toBeNull();
  });

  test("writes the clock down each thirty seconds", async () => {
    const now = spyOn(performance, "now");
    try {
      const began = performance.now();
      for (const [seconds, times] of [
        [29, 0],
        [31, 1],
        [59, 1],
        [62, 2],
      ] as const) {
        now.mockReturnValue(began + seconds * 1_000);
        await beats(1);
        expect(saved).toBe(times);
      }
    } finally {
      now.mockRestore();
    }
  });

  test("tries whether writing works again as long as it does not, before it tidies", async () => {
    isFaulty = true;
    clockFault = "disk full";
    await beats(2);
    expect([tidied, told]).toEqual([0, ["disk full"]]);
    clockFault = null;
    await beats(1);
    expect([tidied, saved]).toEqual([1, 1]);
  });

  test("tells of a failure once, and again only after it was well, or for another", async () => {
    for (const fault of ["one", "two", null, "two"]) {
      tidyFault = fault;
      await beats(2);
    }
    expect(told).toEqual(["one", "two", "two"]);
  });
});
