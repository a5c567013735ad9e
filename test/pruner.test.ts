import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createPruner, type Pruner } from "../src/pruner.ts";
import type { PruneLimits, PruneStep } from "../src/store/retention.ts";
import { until } from "./support/daemon.ts";

/** Also the pause between rounds, as it is short. */
const RETENTION_MS = 30;
const SCHEDULE = 1_000_000;

/** What happened, in order. */
let events: string[];
let limits: PruneLimits[];
let steps: Partial<PruneStep>[];
let wall: number;
/** Whether another daemon has the lease. */
let isTaken: boolean;
let isHeld: boolean;
let step: () => Promise<void>;
let pruned: Record<string, number>;
let faults: unknown[];
let pruner: Pruner;

beforeEach(() => {
  [events, limits, steps, faults, pruned] = [[], [], [], [], {}];
  [wall, isTaken, isHeld] = [SCHEDULE, false, true];
  step = async () => {};
  pruner = createPruner({
    store: {
      clock: { schedule: () => SCHEDULE, wall: () => wall },
      leases: {
        hold: async (job) => {
          events.push(isTaken ? "refused" : job);
          if (isTaken) return null;
          return { held: () => isHeld, release: async () => void events.push("release") };
        },
      },
      retention: {
        beginRound: async (of) => {
          events.push("round");
          limits.push(of);
          return {
            step: async () => {
              await step();
              events.push("step");
              return { deliveries: 0, attempts: 0, events: 0, done: true, ...steps.shift() };
            },
          };
        },
      },
    },
    retentionMs: RETENTION_MS,
    metrics: {
      pruned: {
        add: (what: string, count: number) => {
          pruned[what] = (pruned[what] ?? 0) + count;
        },
      },
    } as never,
    onFault: (error) => faults.push(error),
  });
});
afterEach(() => pruner.stop());

const happened = (...wanted: string[]) =>
  until(`it has come to ${wanted}`, () => events.length >= wanted.length).then(() =>
    expect(events.slice(0, wanted.length)).toEqual(wanted),
  );

describe("the pruner", () => {
  test("goes on with a round until that is done, gives the job back, and begins anew after a pause", async () => {
    steps = [
      { deliveries: 2, attempts: 3, done: false },
      { deliveries: 1, events: 4 },
    ];
    pruner.start();
    await happened("prune", "round", "step", "step", "release", "prune", "round", "step", "release");
    expect(pruned).toEqual({ deliveries: 3, attempts: 3, events: 4 });
    expect(limits[0]).toEqual({
      createdBefore: SCHEDULE - RETENTION_MS,
      finishedBefore: SCHEDULE - RETENTION_MS,
    });
  });

  test.each([
    ["ahead", 9_000_000, SCHEDULE],
    ["behind", 500_000, 500_000],
  ])("takes nothing for older than it is when the wall clock is %s", async (_, now, counts) => {
    wall = now;
    pruner.start();
    await happened("prune", "round", "step");
    expect(limits[0]).toEqual({
      createdBefore: SCHEDULE - RETENTION_MS,
      finishedBefore: counts - RETENTION_MS,
    });
  });

  test("leaves it to another daemon, and asks again", async () => {
    isTaken = true;
    pruner.start();
    await happened("refused", "refused");
    isTaken = false;
    await until("it is its turn", () => events.includes("step"));
  });

  test("ends its round when it has lost the job amid it, and asks for it anew", async () => {
    steps = [{ done: false }];
    step = async () => {
      isHeld = false;
    };
    pruner.start();
    await happened("prune", "round", "step", "release");
    isHeld = true;
    await happened("prune", "round", "step", "release", "prune");
  });

  test("after a failure gives the job back, says so, and begins a new round", async () => {
    step = async () => {
      step = async () => {};
      throw new Error("disk");
    };
    pruner.start();
    await happened("prune", "round", "release", "prune", "round", "step");
    expect(faults).toEqual([new Error("disk")]);
  });

  test("is stopped once the step under way has ended, and begins no other", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    steps = [{ done: false }];
    step = () => promise;
    pruner.start();
    await happened("prune", "round");
    const stopped = pruner.stop();
    await Bun.sleep(10);
    expect(events).toEqual(["prune", "round"]);
    resolve();
    await stopped;
    await Bun.sleep(2 * RETENTION_MS);
    expect(events).toEqual(["prune", "round", "step", "release"]);
  });
});
