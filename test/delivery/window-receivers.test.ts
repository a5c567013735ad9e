import { describe, expect, test } from "bun:test";
import { createChance, MOST, mostOf, rateOf, type Simulation, simulate } from "./simulated-receiver.ts";

const MINUTE = 60_000;

/** What comes of as many requests as may be at once, when an answer takes so many milliseconds on average. */
const possible = (latency: number): number => (MOST * 1_000) / latency;

/** A receiver that works on one request at a time, for so many milliseconds. */
function oneByOne(milliseconds: number): Simulation["latencyOf"] {
  let freeAt = 0;
  return (_, now) => {
    freeAt = Math.max(freeAt, now) + milliseconds;
    return freeAt - now;
  };
}

describe("quick answers of a receiver 100 ms away do not close its window", () => {
  test.each([2, 3, 4, 6, 10, 20, 50, 100, 300, 1_000, 10_000])("one in %d", (each) => {
    const chance = createChance();
    const course = simulate({
      latencyOf: () => (chance() < 1 / each ? 2 : 100),
      milliseconds: 2 * MINUTE,
    });
    expect(rateOf(course, 0)).toBeGreaterThan(0.95 * possible(100 - 98 / each));
  });

  test.each([0, 5, 100, 10_000])("a single one, after %d ms", (moment) => {
    let isOver = false;
    const latencyOf = (_: number, now: number): number => {
      if (isOver || now < moment) return 100;
      isOver = true;
      return 2;
    };
    expect(rateOf(simulate({ latencyOf, milliseconds: MINUTE }), 0)).toBeGreaterThan(0.95 * possible(100));
  });
});

test.each([
  ["50 to 150 ms at random", (chance: number) => 50 + 100 * chance, 100],
  ["20 ms, and at random as much again and again", (chance: number) => 20 - 20 * Math.log(chance), 40],
  ["20 ms, and one in ten 2 s", (chance: number) => (chance < 0.1 ? 2_000 : 20), 218],
])("one that takes %s gets all", (_, latencyOf, mean) => {
  const chance = createChance();
  const course = simulate({ latencyOf: () => latencyOf(chance()), milliseconds: 2 * MINUTE });
  expect(rateOf(course, 0)).toBeGreaterThan(0.9 * possible(mean));
});

describe("a receiver that moves for good gets all again", () => {
  test.each([
    [1, 15],
    [1, 100],
    [1, 300],
    [20, 100],
    [100, 300],
    [100, 1_000],
  ])("from %d ms to %d, and back", (near, far) => {
    const there = 10_000;
    const back = there + MINUTE;
    const course = simulate({
      latencyOf: (_, now) => (now < there || now >= back ? near : far),
      milliseconds: back + MINUTE,
    });
    // Before, it has all, so that there is something to lose.
    expect(rateOf(course, there - 2_000, there)).toBeGreaterThan(0.9 * possible(near));
    expect(rateOf(course, there + MINUTE / 2, back)).toBeGreaterThan(0.8 * possible(far));
    expect(rateOf(course, back, back + MINUTE)).toBeGreaterThan(0.8 * possible(near));
  });

  test("within some minutes when it took so few that there was no telling", () => {
    const course = simulate({
      latencyOf: (inFlight, now) => (now < 10_000 ? inFlight : 100),
      milliseconds: 6 * MINUTE,
    });
    expect(rateOf(course, 5 * MINUTE)).toBeGreaterThan(0.8 * possible(100));
  });
});

describe("one whose answers take 1 ms for each request it has", () => {
  test("gets few for as long as it goes on", () => {
    const course = simulate({ latencyOf: (inFlight) => inFlight, milliseconds: 20 * MINUTE });
    expect(mostOf(course, MINUTE)).toBeLessThan(32);
    expect(rateOf(course, MINUTE)).toBeGreaterThan(900);
  });

  test.each([
    ["it was 100 ms away before", 100],
    ["it was 500 ms away for a while", 500],
  ])("gets few though %s", (_, milliseconds) => {
    const course = simulate({
      latencyOf: (inFlight, now) => (now >= MINUTE ? inFlight : milliseconds),
      milliseconds: 4 * MINUTE,
    });
    expect(mostOf(course, 50_000, MINUTE)).toBe(MOST);
    expect(mostOf(course, 3 * MINUTE)).toBeLessThan(64);
    expect(rateOf(course, 2 * MINUTE)).toBeGreaterThan(900);
  });
});

test.each([
  [20, 1, 300],
  [50, 1, 600],
  [20, 0.02, 1_500],
])(
  "%d webhooks that share a receiver of one request each %d ms leave it at less than %d",
  (webhooks, each, most) => {
    const course = simulate({
      latencyOf: oneByOne(each),
      milliseconds: each < 1 ? MINUTE : 10 * MINUTE,
      webhooks,
    });
    expect(mostOf(course, MINUTE / 2)).toBeLessThan(most);
    expect(rateOf(course, MINUTE / 2)).toBeGreaterThan(900 / each);
  },
);
