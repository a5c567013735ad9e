import { describe, expect, test } from "bun:test";
import {
  createWindow,
  narrow,
  noteAnswer,
  noteFailedAnswer,
  sizeOf,
  type Window,
} from "../../src/delivery/window.ts";

const MAX = 256;

/** Keeps the window full against a receiver whose latency depends on how many it has; answers what was measured in the second half. */
function run(latencyOf: (inFlight: number) => number, milliseconds: number) {
  const window = createWindow();
  let inFlight: { startedAt: number; endsAt: number }[] = [];
  let answered = 0;
  let sizes = 0;
  let steps = 0;
  for (let now = 1; now < milliseconds; now += 0.5) {
    for (const { startedAt, endsAt } of inFlight) {
      if (endsAt > now) continue;
      noteAnswer(window, startedAt, now, MAX);
      if (now > milliseconds / 2) answered += 1;
    }
    inFlight = inFlight.filter(({ endsAt }) => endsAt > now);
    while (inFlight.length < sizeOf(window)) {
      inFlight.push({ startedAt: now, endsAt: now + latencyOf(inFlight.length + 1) });
    }
    if (now > milliseconds / 2) [sizes, steps] = [sizes + sizeOf(window), steps + 1];
  }
  return { perSecond: answered / (milliseconds / 2_000), size: sizes / steps };
}

describe("the window", () => {
  test.each([1, 20, 100, 400])("opens to the most for a receiver %d ms away", (latency) => {
    expect(run(() => latency, 10_000 + 40 * latency).size).toBeGreaterThan(0.9 * MAX);
  });

  test("a receiver whose answers take 1 ms for each request it has gets few, and is kept busy", () => {
    const { perSecond, size } = run((inFlight) => inFlight, 20_000);
    expect(size).toBeWithin(2, 32);
    expect(perSecond).toBeGreaterThan(900);
  });

  test("does not open far for one that slows down with more, not even at first", () => {
    const window = createWindow();
    let most = 0;
    for (let now = 0, batch = 0; batch < 40; batch += 1) {
      const size = sizeOf(window);
      most = Math.max(most, size);
      for (let i = 0; i < size; i += 1) noteAnswer(window, now, now + 5 * size, MAX);
      now += 5 * size;
    }
    expect(most).toBeLessThan(32);
  });

  test("is not closed by a pause of our own, which slows down all but one of a round", () => {
    const window = createWindow();
    for (let now = 0, batch = 0; batch < 60; batch += 1) {
      const size = sizeOf(window);
      for (let i = 0; i < size; i += 1) noteAnswer(window, now, now + (i === 0 ? 1 : 300), MAX);
      now += 300;
    }
    expect(sizeOf(window)).toBe(MAX);
  });

  test("one that takes up to 40 at once as fast as one, 100 ms away, gets about as many", () => {
    const { size, perSecond } = run(
      (inFlight) => (inFlight <= 40 ? 100 : 100 + 20 * (inFlight - 40)),
      60_000,
    );
    expect(size).toBeWithin(25, 60);
    expect(perSecond).toBeGreaterThan(200);
  });

  test("begins with one, grows by one with each answer, and never past the most", () => {
    const window = createWindow();
    expect(sizeOf(window)).toBe(1);
    for (let i = 0; i < 10; i += 1) noteAnswer(window, i, i + 1, 8);
    expect(sizeOf(window)).toBe(8);
  });

  test("grows by one in a round where connections are costly, and goes on as before when they are not", () => {
    const window = createWindow();
    for (let i = 0; i < 3; i += 1) noteAnswer(window, i, i + 1, MAX);
    expect(sizeOf(window)).toBe(4);
    for (let i = 0; i < 5; i += 1) noteAnswer(window, i, i + 1, MAX, true);
    expect(sizeOf(window)).toBe(5);
    for (let i = 0; i < 5; i += 1) noteAnswer(window, i, i + 1, MAX);
    expect(sizeOf(window)).toBe(10);
  });

  const opened = (): Window => {
    const window = createWindow();
    for (let i = 0; i < 99; i += 1) noteAnswer(window, i, i + 1, MAX);
    return window;
  };

  test("is halved by a failed answer, once for those that were in flight together", () => {
    const window = opened();
    for (let i = 0; i < 20; i += 1) noteFailedAnswer(window, 100, 101);
    expect(sizeOf(window)).toBe(50);
    noteFailedAnswer(window, 102, 103);
    expect(sizeOf(window)).toBe(25);
  });

  test.each([5, 8, 20])("does not stay at one after an overload because one answer in %d fails", (each) => {
    const window = createWindow();
    let now = 1_000;
    const answer = (latency: number): void => {
      noteAnswer(window, now, now + latency, MAX);
      now += latency;
    };
    for (let i = 0; i < 2_000; i += 1) answer(50);
    for (let i = 0; i < 600; i += 1) answer(400);
    let sum = 0;
    const count = 10_000;
    for (let i = 0; i < count; i += 1) {
      if (i % each === 0) noteFailedAnswer(window, now, now + 50);
      else answer(50);
      if (i >= count / 2) sum += sizeOf(window);
    }
    expect(sum / (count / 2)).toBeGreaterThan(each);
  });

  test("is one after a request that was not answered", () => {
    const window = opened();
    narrow(window, 100);
    expect(sizeOf(window)).toBe(1);
  });
});
