import { beforeEach, describe, expect, test } from "bun:test";
import { createBusy, createRush } from "../../src/delivery/busy.ts";
import { until } from "../support/daemon.ts";

let now: number;
let used: number;
let isBusy: () => boolean;

beforeEach(() => {
  [now, used] = [1_000, 50];
  isBusy = createBusy(
    () => now,
    () => used,
  );
});

/** So much time passes, and so much of it is spent working. */
function pass(milliseconds: number, working: number): void {
  now += milliseconds;
  used += working;
}

describe("whether the process is busy", () => {
  test("is what it did since the last look, once that says something", () => {
    expect(isBusy()).toBe(false);
    pass(9, 9);
    expect(isBusy()).toBe(false);
    pass(11, 9);
    expect(isBusy()).toBe(true);
    pass(9, 0);
    expect(isBusy()).toBe(true);
    pass(11, 5);
    expect(isBusy()).toBe(false);
  });

  test("is not after a rest, however much it does at once", () => {
    pass(10_000, 30);
    expect(isBusy()).toBe(false);
    pass(20, 30);
    expect(isBusy()).toBe(true);
  });

  test("of the real process is told from the processor time that it takes", () => {
    const real = createBusy(() => now);
    // By its own meter, and on a clock of the test's, so that whatever else the machine does makes no difference.
    const work = (milliseconds: number): void => {
      const before = process.threadCpuUsage();
      for (let used = 0; used < milliseconds * 1_000; ) {
        const { user, system } = process.threadCpuUsage(before);
        used = user + system;
      }
    };
    work(60);
    now += 60;
    expect(real()).toBe(true);
    work(20);
    now += 2_000;
    expect(real()).toBe(false);
  });

  test("of the real process is not told from what other threads do", async () => {
    const used = (): number => process.cpuUsage().user + process.cpuUsage().system;
    const own = (): number => process.threadCpuUsage().user + process.threadCpuUsage().system;
    const worker = new Worker("data:text/javascript,for (;;);");
    const real = createBusy(() => now);
    const before = used() - own();
    await until("the other thread has worked", () => used() - own() - before > 200_000);
    worker.terminate();
    now += 200;
    expect(real()).toBe(false);
  });

  test("of the real process is looked at by a clock that goes on", async () => {
    const real = createBusy(undefined, () => used);
    used += 3_600_000;
    expect(real()).toBe(false);
    await Bun.sleep(20);
    expect(real()).toBe(true);
    await Bun.sleep(20);
    expect(real()).toBe(false);
  });
});

test("connections are opened in a rush when many handshakes are under way and the process is busy", () => {
  let handshakes = 17;
  let busy = true;
  const isRushed = createRush(
    () => handshakes,
    () => busy,
  );
  expect(isRushed()).toBe(true);
  handshakes = 16;
  expect(isRushed()).toBe(false);
  [handshakes, busy] = [300, false];
  expect(isRushed()).toBe(false);
});
