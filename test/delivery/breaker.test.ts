import { describe, expect, test } from "bun:test";
import {
  type Breaker,
  createBreaker,
  type Failure,
  noteFailure,
  noteSuccess,
  resetBreaker,
  searchAt,
} from "../../src/delivery/breaker.ts";

const POLICY = { attempts: 12, minDelay: 5_000, factor: 4, maxDelay: 43_200_000, jitter: false };
const SECOND = 1_000;
const HOUR = 3_600 * SECOND;

const fail = (breaker: Breaker, now: number, failure: Partial<Failure> = {}): void =>
  noteFailure(breaker, { epoch: breaker.epoch, isFirst: true, isAnswered: true, ...failure }, now, POLICY);

/** The moments at which a dead receiver is probed, one probe after another. */
function probes(until: number, failure: Partial<Failure>): number[] {
  const breaker = createBreaker();
  const at: number[] = [];
  for (let now = 0; now < until; now = Math.max(now + 1, breaker.probeAt)) {
    at.push(now);
    fail(breaker, now, failure);
  }
  return at;
}

describe("the circuit breaker", () => {
  test.each([
    ["answers with failures", { isAnswered: true }, 5],
    ["does not answer", { isAnswered: false }, 2],
  ])("opens when first tries fail one after another: one that %s", (_, failure, limit) => {
    const breaker = createBreaker();
    for (let i = 1; i < limit; i += 1) fail(breaker, i, failure);
    expect(breaker.isOpen).toBe(false);
    fail(breaker, limit, failure);
    expect(breaker.isOpen).toBe(true);
    expect(breaker.probeAt).toBe(limit + 5 * SECOND);
  });

  test("counts failures that began together once", () => {
    const breaker = createBreaker();
    for (let i = 0; i < 50; i += 1) fail(breaker, 1, { epoch: 0 });
    expect(breaker).toMatchObject({ failures: 1, isOpen: false });
  });

  test("is closed by any success, which tells for how long it failed", () => {
    const breaker = createBreaker();
    for (let i = 0; i < 9; i += 1) fail(breaker, 100);
    expect(noteSuccess(breaker, 40_100)).toBe(40_000);
    expect(breaker).toMatchObject({ isOpen: false, failures: 0, failingSince: null });
    expect(noteSuccess(breaker, 40_200)).toBe(0);
  });

  test("retries that fail neither open it nor lengthen its rest, until nothing but them fails for long", () => {
    const breaker = createBreaker();
    for (let i = 0; i < 19; i += 1) fail(breaker, i, { isFirst: false });
    expect(breaker.isOpen).toBe(false);
    fail(breaker, 20, { isFirst: false });
    expect(breaker.isOpen).toBe(true);

    const open = createBreaker();
    for (let i = 0; i < 5; i += 1) fail(open, 0);
    const { probeAt } = open;
    fail(open, 1_000, { isFirst: false });
    expect(open.probeAt).toBe(probeAt);
    expect(open.retryAt).toBeGreaterThan(1_000);
  });

  test.each([true, false])(
    "a dead receiver is probed ever less often, and after an hour still within 15 s (answers: %p)",
    (isAnswered) => {
      const at = probes(20 * HOUR, { isAnswered });
      const within = (from: number, to: number) => at.filter((time) => time >= from && time < to).length;
      expect(within(0, 60 * SECOND)).toBeLessThan(16);
      expect(within(0, HOUR)).toBeLessThan(380);
      expect(within(19 * HOUR, 20 * HOUR)).toBeLessThan(20);
      const pauses = at.slice(1).map((time, i) => time - (at[i] as number));
      const first = pauses.findIndex((pause) => pause > SECOND);
      const rests = pauses.slice(first);
      for (const [i, pause] of rests.entries()) expect(pause).toBeGreaterThanOrEqual((rests[i - 1] ?? 0) - 1);
      expect(Math.max(...pauses.slice(0, within(0, HOUR)))).toBeLessThan(15 * SECOND);
    },
  );

  test("looks for a receiver that is away with what is not due, not for one that says no", () => {
    const away = createBreaker();
    fail(away, 0, { isAnswered: false });
    expect(searchAt(away)).toBe(60 * SECOND);
    fail(away, 59 * SECOND, { isAnswered: false, isFirst: false });
    expect(searchAt(away)).toBe(64 * SECOND);
    const refusing = createBreaker();
    fail(refusing, 0);
    expect(searchAt(refusing)).toBe(Number.POSITIVE_INFINITY);
    expect(searchAt(createBreaker())).toBe(Number.POSITIVE_INFINITY);
  });

  test("is open at once for what had failed before the start, but rests only after its first probe", () => {
    expect(createBreaker(7, 50)).toMatchObject({ isOpen: true, probeAt: 0, failingSince: 50 });
    expect(createBreaker(1, 50)).toMatchObject({ isOpen: false });
  });

  test("is forgiven all, and what began before counts no more", () => {
    const breaker = createBreaker();
    const { epoch } = breaker;
    for (let i = 0; i < 9; i += 1) fail(breaker, 0);
    resetBreaker(breaker);
    expect(breaker).toMatchObject({ isOpen: false, failures: 0 });
    fail(breaker, 1, { epoch });
    expect(breaker.failures).toBe(0);
  });

  test.each([0, 20, 100])(
    "never rests longer than the policy's longest delay, nor not at all (first delay %d ms)",
    (minDelay) => {
      const breaker = createBreaker();
      const policy = { ...POLICY, minDelay, maxDelay: 200 };
      for (let i = 0; i < 40; i += 1) {
        noteFailure(breaker, { epoch: breaker.epoch, isFirst: true, isAnswered: false }, 1_000, policy);
      }
      expect(breaker.probeAt - 1_000).toBeWithin(50, 201);
    },
  );
});
