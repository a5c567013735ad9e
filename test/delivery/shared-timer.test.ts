import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createSharedTimer, type SharedTimer } from "../../src/delivery/http/shared-timer.ts";

let runs: number;
let onRun: () => void;
let timer: SharedTimer;

beforeEach(() => {
  runs = 0;
  onRun = () => {};
  timer = createSharedTimer(() => {
    runs += 1;
    onRun();
  });
});
afterEach(() => timer.stop());

const soon = (milliseconds: number): number => performance.now() + milliseconds;

describe("a timer for all deadlines", () => {
  test("rings once, by the earliest that was asked for", async () => {
    timer.by(soon(200));
    timer.by(soon(30));
    timer.by(soon(220));
    await Bun.sleep(15);
    expect(runs).toBe(0);
    await Bun.sleep(85);
    expect(runs).toBe(1);
    await Bun.sleep(150);
    expect(runs).toBe(1);
  });

  test("rings at once for a moment that has passed", async () => {
    timer.by(soon(-100));
    await Bun.sleep(10);
    expect(runs).toBe(1);
  });

  test("is asked again by what it calls, and rings again", async () => {
    onRun = () => {
      if (runs < 3) timer.by(soon(5));
    };
    timer.by(soon(5));
    await Bun.sleep(100);
    expect(runs).toBe(3);
  });

  test("does not ring once it is stopped, until it is asked anew, for however late a moment", async () => {
    timer.by(soon(10));
    timer.stop();
    await Bun.sleep(40);
    expect(runs).toBe(0);
    timer.by(soon(20));
    await Bun.sleep(60);
    expect(runs).toBe(1);
  });
});
