import { describe, expect, test } from "bun:test";
import { createDatabaseClock, readClock } from "../../../src/store/postgres/clock.ts";
import type { Query } from "../../../src/store/postgres/pool.ts";

/** The database says so much more than the monotonic clock; the question took so long, and was answered just now. */
function say(clock: ReturnType<typeof createDatabaseClock>, ahead: number, tookMs = 1): void {
  const answeredAt = performance.now();
  clock.read(answeredAt - tookMs / 2 + ahead, answeredAt - tookMs, answeredAt);
}

const ahead = (clock: ReturnType<typeof createDatabaseClock>) => clock.schedule() - performance.now();

describe("the database's clock", () => {
  test("is the database's, in the middle of the question", () => {
    const clock = createDatabaseClock();
    say(clock, 5_000_000, 10);
    expect(ahead(clock)).toBeWithin(5_000_000 - 2, 5_000_000 + 1);
    expect(clock.offset()).toBeCloseTo(Date.now() - performance.now() - 5_000_000, -1);
  });

  test("never goes back: it stands still until the database's has caught up", () => {
    const clock = createDatabaseClock();
    say(clock, 10_000);
    const before = clock.schedule();
    say(clock, 2_000);
    expect([clock.schedule(), clock.wall()]).toEqual([before, before]);
    say(clock, 20_000);
    expect(clock.schedule()).toBeGreaterThan(before);
  });

  test("does not take a slow answer for better than a quick one, but notices that the clock was set", () => {
    const clock = createDatabaseClock();
    say(clock, 10_000, 1);
    say(clock, 10_300, 2_000);
    expect(ahead(clock)).toBeWithin(9_990, 10_010);
    say(clock, 90_000, 2_000);
    expect(ahead(clock)).toBeWithin(89_990, 90_010);
  });

  test("is asked with one statement", async () => {
    const clock = createDatabaseClock();
    const query = (async () => [{ now: performance.now() + 7_000 }]) as unknown as Query;
    await readClock(query, clock);
    expect(ahead(clock)).toBeWithin(6_900, 7_100);
  });
});
