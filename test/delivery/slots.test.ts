import { describe, expect, test } from "bun:test";
import { createSlots } from "../../src/delivery/slots.ts";
import type { Trust } from "../../src/delivery/webhook-queue.ts";

describe("the slots", () => {
  const slotsOf = (total: number) => {
    const clock = { now: 0 };
    const slots = createSlots({ total, timeoutMs: 10_000, now: () => clock.now });
    const admits = (trust: Trust, organizationId: number, inFlight: number): boolean =>
      slots.open(trust, inFlight > 0) && slots.hasRoomFor(organizationId);
    return { clock, slots, admits };
  };

  test("give failing and untried webhooks at most half, whatever waits", () => {
    const { clock, slots, admits } = slotsOf(256);
    let taken = 0;
    for (let i = 0; i < 1_000; i += 1) {
      clock.now += 1_000;
      const trust = i % 2 === 0 ? "failing" : "untried";
      if (!admits(trust, i, 0)) continue;
      slots.take(trust, i);
      taken += 1;
    }
    expect(taken).toBe(128);
    expect(admits("proven", 5_000, 0)).toBe(true);
  });

  test("let first tries into the last quarter of that half one by one, so that it is never full of those that hang", () => {
    const { clock, slots, admits } = slotsOf(256);
    for (let i = 0; i < 96; i += 1) slots.take("untried", i);
    expect([slots.newestFirst("untried"), slots.newestFirst("proven")]).toEqual([true, false]);
    expect(admits("failing", 900, 0)).toBe(false);
    expect(admits("untried", 901, 0)).toBe(true);
    slots.take("untried", 901);
    expect(admits("untried", 902, 0)).toBe(false);
    clock.now = slots.nextTurn;
    expect(clock.now).toBeLessThan(500);
    expect(admits("untried", 902, 0)).toBe(true);
  });

  test("of few keep the last quarter for webhooks with nothing in flight, the last eighth for small organizations", () => {
    const { clock, slots, admits } = slotsOf(64);
    for (let i = 0; i < 48; i += 1) slots.take("proven", 1);
    expect(admits("proven", 1, 48)).toBe(false);
    expect(admits("proven", 1, 0)).toBe(true);
    for (let i = 0; i < 8; i += 1) slots.take("proven", 1);
    clock.now = slots.nextTurn;
    expect(admits("proven", 1, 0)).toBe(false);
    expect(admits("proven", 2, 0)).toBe(true);
  });

  test("keep no more than hundreds, however many there are", () => {
    const { clock, slots, admits } = slotsOf(4_096);
    for (let i = 0; i < 4_096 - 512; i += 1) {
      expect(admits("proven", 1, i)).toBe(true);
      slots.take("proven", 1);
    }
    expect(admits("proven", 1, 1)).toBe(false);
    for (let i = 0; i < 384; i += 1) {
      clock.now = slots.nextTurn;
      expect(admits("proven", 1, 0)).toBe(true);
      slots.take("proven", 1);
    }
    clock.now = slots.nextTurn;
    expect(admits("proven", 1, 0)).toBe(false);
    expect(admits("proven", 2, 0)).toBe(true);
  });

  test("are never all taken by webhooks that hang, be they thousands, proven, and of whatever organizations", () => {
    const { clock, slots, admits } = slotsOf(4_096);
    const underWay: { until: number; organizationId: number }[] = [];
    let longest = 0;
    let since = 0;
    // Each holds its slot for the whole timeout; as many as may begin do so, for a minute.
    for (let webhook = 0; clock.now < 60_000; ) {
      const organizationId = webhook % 40;
      if (admits("proven", organizationId, 0)) {
        longest = Math.max(longest, clock.now - since);
        since = clock.now;
        slots.take("proven", organizationId);
        underWay.push({ until: clock.now + 10_000, organizationId });
      } else clock.now += 1;
      webhook += 1;
      for (let first = underWay[0]; first && first.until <= clock.now; first = underWay[0]) {
        underWay.shift();
        slots.release("proven", first.organizationId);
      }
    }
    expect(longest).toBeLessThan(100);
  });

  test("work with a single one", () => {
    const { slots, admits } = slotsOf(1);
    expect(admits("untried", 1, 0)).toBe(true);
    slots.take("untried", 1);
    expect(admits("proven", 1, 0)).toBe(false);
    slots.release("untried", 1);
    expect(admits("untried", 1, 0)).toBe(true);
  });
});
