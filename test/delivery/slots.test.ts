import { describe, expect, test } from "bun:test";
import { createSlots } from "../../src/delivery/slots.ts";

describe("the slots", () => {
  const slotsOf = (total: number) => {
    const clock = { now: 0 };
    return { clock, slots: createSlots({ total, timeoutMs: 10_000, now: () => clock.now }) };
  };

  test("give failing and untried webhooks at most half, whatever waits", () => {
    const { clock, slots } = slotsOf(256);
    let taken = 0;
    for (let i = 0; i < 1_000; i += 1) {
      clock.now += 1_000;
      const trust = i % 2 === 0 ? "failing" : "untried";
      if (!slots.admits(trust, i, 0)) continue;
      slots.take(trust, i);
      taken += 1;
    }
    expect(taken).toBe(128);
    expect(slots.admits("proven", 5_000, 0)).toBe(true);
  });

  test("let first tries into the last quarter of that half one by one, so that it is never full of those that hang", () => {
    const { clock, slots } = slotsOf(256);
    for (let i = 0; i < 96; i += 1) slots.take("untried", i);
    expect(slots.newestFirst).toBe(true);
    expect(slots.admits("failing", 900, 0)).toBe(false);
    expect(slots.admits("untried", 901, 0)).toBe(true);
    slots.take("untried", 901);
    expect(slots.admits("untried", 902, 0)).toBe(false);
    clock.now = slots.nextFirstTry;
    expect(clock.now).toBeLessThan(500);
    expect(slots.admits("untried", 902, 0)).toBe(true);
  });

  test("of few keep the last quarter for webhooks with nothing in flight, the last eighth for small organizations", () => {
    const { slots } = slotsOf(64);
    for (let i = 0; i < 48; i += 1) slots.take("proven", 1);
    expect(slots.admits("proven", 1, 48)).toBe(false);
    expect(slots.admits("proven", 1, 0)).toBe(true);
    for (let i = 0; i < 8; i += 1) slots.take("proven", 1);
    expect(slots.admits("proven", 1, 0)).toBe(false);
    expect(slots.admits("proven", 2, 0)).toBe(true);
  });

  test("keep no more than hundreds, however many there are", () => {
    const { slots } = slotsOf(4_096);
    for (let i = 0; i < 4_096 - 512; i += 1) {
      expect(slots.admits("proven", 1, i)).toBe(true);
      slots.take("proven", 1);
    }
    expect(slots.admits("proven", 1, 1)).toBe(false);
    for (let i = 0; i < 384; i += 1) {
      expect(slots.admits("proven", 1, 0)).toBe(true);
      slots.take("proven", 1);
    }
    expect(slots.admits("proven", 1, 0)).toBe(false);
    expect(slots.admits("proven", 2, 0)).toBe(true);
  });

  test("work with a single one", () => {
    const { slots } = slotsOf(1);
    expect(slots.admits("untried", 1, 0)).toBe(true);
    slots.take("untried", 1);
    expect(slots.admits("proven", 1, 0)).toBe(false);
    slots.release("untried", 1);
    expect(slots.admits("untried", 1, 0)).toBe(true);
  });
});
