import { describe, expect, test } from "bun:test";
import type { Meaning } from "../../src/delivery/answer.ts";
import { searchAt } from "../../src/delivery/breaker.ts";
import { learn } from "../../src/delivery/learning.ts";
import type { Target } from "../../src/delivery/target.ts";
import type { WebhookQueue } from "../../src/delivery/webhook-queue.ts";
import { attemptOf, POLICY, queueOf, settingsOf } from "../support/engine.ts";

const NOW = 1_000_000;
const MOMENT = { now: NOW, monotonic: 1_010, wall: 7_000_000 };
const OPTIONS = { policy: POLICY, maxWindow: 256, isRushed: () => false };
const FAILED: Meaning = { kind: "failed" };
const ASKED: Meaning = { kind: "wait", milliseconds: 2_000 };

/** A webhook that has done well and has eight requests' room. */
function doingWell(): WebhookQueue {
  const queue = queueOf({ failureCount: 3 });
  queue.window.size = 8;
  return queue;
}

const after = (meaning: Meaning, status: number | null, isFirst = true) => {
  const queue = doingWell();
  const counts = learn(attemptOf(queue, { isFirst }), meaning, status, MOMENT, OPTIONS);
  return {
    counts,
    failures: queue.failureCount,
    window: queue.window.size,
    proven: queue.isProven,
    rounds: queue.breaker.failures,
    failing: queue.breaker.failingSince !== null,
    away: queue.breaker.isAway,
    pause: Math.max(0, queue.pace.pausedUntil - MOMENT.monotonic),
  };
};

const GOOD = {
  counts: "success",
  failures: 0,
  window: 9,
  proven: true,
  rounds: 0,
  failing: false,
  away: false,
  pause: 0,
};
const BAD = {
  counts: "failure",
  failures: 4,
  window: 4,
  proven: false,
  rounds: 1,
  failing: true,
  away: false,
  pause: 0,
};

describe("what an answer says of its receiver", () => {
  test.each<[string, Meaning, number | null, boolean, object]>([
    ["a success", { kind: "delivered" }, 200, true, GOOD],
    ["a 500 to a first try", FAILED, 500, true, BAD],
    ["a 500 to a retry", FAILED, 500, false, { ...BAD, window: 8, rounds: 0 }],
    ["a gateway that gets no answer", FAILED, 502, true, { ...BAD, away: true }],
    ["no answer", FAILED, null, true, { ...BAD, window: 1, away: true }],
    ["a 422", { kind: "refused" }, 422, true, { ...BAD, window: 8, rounds: 0, failing: false, proven: true }],
    [
      "an event that is never taken",
      { kind: "dropped" },
      400,
      true,
      { ...BAD, window: 8, rounds: 0, failing: false, proven: true },
    ],
    ["a 429", ASKED, 429, true, { ...GOOD, counts: "neither", failures: 3, window: 1, pause: 2_000 }],
    [
      "a 503 with a time",
      ASKED,
      503,
      true,
      { ...GOOD, counts: "failure", failures: 4, window: 1, pause: 2_000 },
    ],
    [
      "a 410",
      { kind: "disable", reason: "gone" },
      410,
      true,
      { ...BAD, window: 8, rounds: 0, failing: false },
    ],
  ])("%s", (_, meaning, status, isFirst, expected) => {
    expect(after(meaning, status, isFirst)).toEqual(expected as never);
  });

  test.each([
    [29_000, null],
    [31_000, MOMENT.wall],
  ])("after it was away for %d ms, what was put off is tried at once: %p", (away, hastenBefore) => {
    const queue = doingWell();
    queue.breaker.failingSince = NOW - away;
    learn(attemptOf(queue), { kind: "delivered" }, 200, MOMENT, OPTIONS);
    expect(queue.hastenBefore).toBe(hastenBefore);
    expect(queue.hasDueRetries).toBe(hastenBefore !== null);
    expect(queue.lastSuccessAt).toBe(NOW);
  });

  test.each<[Meaning, number]>([
    [{ kind: "refused" }, 422],
    [{ kind: "dropped" }, 400],
    [ASKED, 429],
  ])("one that was away and answers %p is there again, and looked for no more", (meaning, status) => {
    const queue = doingWell();
    for (let i = 0; i < 30; i += 1)
      learn(attemptOf(queue, { isFirst: false }), FAILED, null, MOMENT, OPTIONS);
    expect(searchAt(queue.breaker)).toBeLessThan(Number.POSITIVE_INFINITY);
    const later = { ...MOMENT, now: NOW + 75_000 };
    learn(attemptOf(queue, { isFirst: false, isEarly: true }), meaning, status, later, OPTIONS);
    expect(searchAt(queue.breaker)).toBe(Number.POSITIVE_INFINITY);
    expect(queue.breaker).toMatchObject({ isAway: false, isOpen: false });
    expect(queue.hastenBefore).toBe(MOMENT.wall);
  });

  test("what is tried before its own time is not tried more often than each second", () => {
    const queue = doingWell();
    const soon: Meaning = { kind: "wait", milliseconds: 1 };
    learn(attemptOf(queue), soon, 503, MOMENT, OPTIONS);
    expect(queue.pace.pausedUntil - MOMENT.monotonic).toBe(1);
    learn(attemptOf(queue, { isEarly: true }), soon, 503, MOMENT, OPTIONS);
    expect(queue.pace.pausedUntil - MOMENT.monotonic).toBe(1_000);
  });
});

test.each([
  ["was away", FAILED, null, Number.POSITIVE_INFINITY],
  ["refused what it got", FAILED, 500, 3],
])("how far a receiver is that %s is found out anew: least %p", (_, meaning, status, least) => {
  const queue = doingWell();
  queue.window.least = 3;
  for (let i = 0; i < 6; i += 1) {
    learn(attemptOf(queue, { epoch: queue.breaker.epoch }), meaning, status, MOMENT, OPTIONS);
  }
  expect(queue.breaker.isOpen).toBe(true);
  learn(attemptOf(queue), { kind: "delivered" }, 200, MOMENT, OPTIONS);
  expect(queue.window.least).toBe(least);
});

test.each([
  ["https", true, 8],
  ["http", false, 9],
])(
  "where connections are opened in a rush, the window of an %s webhook grows slowly: %p",
  (_, secure, size) => {
    const queue = doingWell();
    queue.settings = settingsOf({ target: { url: "https://one.example", secure } as Target });
    learn(attemptOf(queue), { kind: "delivered" }, 200, MOMENT, { ...OPTIONS, isRushed: () => true });
    expect(Math.floor(queue.window.size)).toBe(size);
  },
);
