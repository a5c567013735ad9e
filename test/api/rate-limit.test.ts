import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createRateLimiter } from "../../src/api/rate-limit.ts";

describe("the rate limiter", () => {
  test("allows so many in a minute that begins with the first request, each key by itself", () => {
    let now = 0.25;
    const { take } = createRateLimiter(() => now);
    const allowed = (key: number, limit: number) => take(key, limit).allowed;
    expect([allowed(1, 2), allowed(1, 2), allowed(1, 2), allowed(2, 2)]).toEqual([true, true, false, true]);
    now += 59_999;
    expect(take(1, 2)).toEqual({ allowed: false, limit: 2, remaining: 0, resetSeconds: 1 });
    now += 1;
    expect(take(1, 2)).toEqual({ allowed: true, limit: 2, remaining: 1, resetSeconds: 60 });
  });

  test("never says more than a minute, whatever fraction the clock stands at", () =>
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e5, noNaN: true }), (now) => {
        expect(createRateLimiter(() => now).take(1, 1).resetSeconds).toBe(60);
      }),
      { examples: [[8901.570142094448]] },
    ));
});
