import { expect, test } from "bun:test";
import { decideOutcome, type Judged } from "../../src/delivery/outcome.ts";
import { backoff, spanOf } from "../../src/delivery/retry-policy.ts";

const POLICY = { attempts: 3, minDelay: 5_000, factor: 4, maxDelay: 60_000, jitter: false };
const NOW = 1_000_000;
const CONTEXT = { policy: POLICY, span: spanOf(POLICY), pause: 5_000, waitUntil: NOW + 2_000, now: NOW };

const JUDGED: Judged = {
  createdAt: NOW - 60_000,
  made: 0,
  isEarly: false,
  dueAt: 0,
  isFailure: true,
  refusedSince: null,
  lastSuccessAt: NOW - 1_000,
};

const DELIVERED = {
  state: "delivered",
  nextAttemptAt: null,
  isCharged: true,
  staysInFront: false,
  disables: null,
};
const FAILED = { ...DELIVERED, state: "failed" };
const LATER = { ...DELIVERED, state: "pending", nextAttemptAt: NOW + 5_000 };
const FRONT = { ...LATER, nextAttemptAt: NOW + 2_000, staysInFront: true };

test.each([
  // what the answer means, what is known, what comes of it
  ["a 2xx", { kind: "delivered" }, {}, DELIVERED],
  ["a 410", { kind: "disable", reason: "gone" }, {}, { ...FAILED, disables: "gone" }],
  [
    "a service's word that it is gone",
    { kind: "disable", reason: "rejected" },
    {},
    { ...FAILED, disables: "rejected" },
  ],
  ["an event that is never taken", { kind: "dropped" }, {}, FAILED],
  ["a 500", { kind: "failed" }, {}, LATER],
  ["a 422", { kind: "refused" }, {}, LATER],
  ["the second failure", { kind: "failed" }, { made: 1 }, LATER],
  ["the last one, of a webhook that works", { kind: "failed" }, { made: 2 }, FAILED],
  [
    "the last one, with nothing through since it came",
    { kind: "failed" },
    { made: 2, lastSuccessAt: NOW - 70_000 },
    { ...FAILED, disables: "attempts_exhausted" },
  ],
  [
    "the last one, with nothing through ever",
    { kind: "refused" },
    { made: 2, lastSuccessAt: null },
    { ...FAILED, disables: "attempts_exhausted" },
  ],
  [
    "a failed search for a receiver",
    { kind: "failed" },
    { made: 2, isEarly: true, dueAt: NOW + 9_000 },
    { ...LATER, nextAttemptAt: NOW + 9_000, isCharged: false },
  ],
  ["a 503 with a time", { kind: "wait", milliseconds: 2_000 }, {}, { ...FRONT, dueAt: NOW + 5_000 }],
  [
    "a 503 with a time, before the delivery's own",
    { kind: "wait", milliseconds: 2_000 },
    { made: 2, isEarly: true, dueAt: NOW + 3_000 },
    { ...FRONT, isCharged: false, dueAt: NOW + 3_000 },
  ],
  ["the last 503 with a time", { kind: "wait", milliseconds: 2_000 }, { made: 2 }, FAILED],
  [
    "a 429",
    { kind: "wait", milliseconds: 2_000 },
    { isFailure: false },
    { ...FRONT, isCharged: false, dueAt: 0 },
  ],
  [
    "a 429 when one attempt is left",
    { kind: "wait", milliseconds: null },
    { isFailure: false, made: 2 },
    { ...FRONT, isCharged: false, dueAt: 0 },
  ],
  [
    "a 429 for longer than all retries take",
    { kind: "wait", milliseconds: 2_000 },
    { isFailure: false, made: 2, refusedSince: NOW - 25_001 },
    FAILED,
  ],
  ["nothing sent", { kind: "unsent" }, { dueAt: 7 }, { ...FRONT, nextAttemptAt: 7, isCharged: false }],
] as const)("%s", (_, meaning, known, outcome) => {
  expect(decideOutcome(meaning, { ...JUDGED, ...known }, CONTEXT)).toEqual(outcome as never);
});

test("p-retry's backoff goes on where a delivery was, and takes no time", async () => {
  const started = performance.now();
  const pauses = await Promise.all([0, 1, 2, 3].map((made) => backoff({ ...POLICY, attempts: 9 }, made)));
  expect(pauses).toEqual([5_000, 20_000, 60_000, 60_000]);
  const jittered = await backoff({ ...POLICY, jitter: true }, 0);
  expect(jittered).toBeWithin(5_000, 10_001);
  expect(performance.now() - started).toBeLessThan(1_000);
  expect(spanOf(POLICY)).toBe(25_000);
});
