import { describe, expect, test } from "bun:test";
import { createLane, type Lane, mayStart, noteFailure, noteSuccess } from "../../src/delivery/lane.ts";
import type { Target } from "../../src/delivery/send.ts";
import { createSlots } from "../../src/delivery/slots.ts";

const POLICY = { attempts: 12, minDelay: 5_000, factor: 4, maxDelay: 43_200_000, jitter: false };
const TARGET = {} as Target;

function lane(fields: Partial<Lane> = {}): Lane {
  const fresh = createLane({
    webhookId: 1,
    webhookUuid: "w",
    webhookName: null,
    organizationId: 1,
    organizationUuid: "o",
    target: TARGET,
    targetUntil: Number.POSITIVE_INFINITY,
    failureCount: 0,
    lastSuccessAt: null,
  });
  return Object.assign(fresh, fields);
}

describe("a webhook's window", () => {
  test("starts at one request, grows by one with each success and falls to one on a failure", () => {
    const webhook = lane();
    expect(webhook.window).toBe(1);
    for (let i = 0; i < 3; i += 1) noteSuccess(webhook, 0, 32);
    expect(webhook.window).toBe(4);
    noteFailure(webhook, webhook.epoch, 0, POLICY);
    expect(webhook.window).toBe(1);
  });

  test("never grows past its limit", () => {
    const webhook = lane();
    for (let i = 0; i < 100; i += 1) noteSuccess(webhook, 0, 8);
    expect(webhook.window).toBe(8);
  });

  test("does not rest after one failure, then for growing pauses of at most a minute", () => {
    const webhook = lane();
    const rests = Array.from({ length: 6 }, () => {
      noteFailure(webhook, webhook.epoch, 1_000, POLICY);
      return webhook.restUntil - 1_000;
    });
    expect(rests).toEqual([0, 5_000, 20_000, 60_000, 60_000, 60_000]);
    expect(mayStart(webhook, 60_999)).toBe(false);
    expect(mayStart(webhook, 61_000)).toBe(true);
  });

  test("counts failures that began together as one round", () => {
    const webhook = lane();
    for (let i = 0; i < 5; i += 1) noteFailure(webhook, 0, 0, POLICY);
    expect([webhook.failureCount, webhook.rounds, webhook.restUntil]).toEqual([5, 1, 0]);
  });

  test("is forgiven all of it by one success", () => {
    const webhook = lane();
    for (let i = 0; i < 4; i += 1) noteFailure(webhook, webhook.epoch, 0, POLICY);
    noteSuccess(webhook, 0, 32);
    expect([webhook.failureCount, webhook.trust, mayStart(webhook, 0)]).toEqual([0, "proven", true]);
  });
});

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
      const webhook = lane({ trust, organizationId: i });
      if (!slots.admits(webhook)) continue;
      slots.take(webhook, trust);
      taken += 1;
    }
    expect(taken).toBe(128);
    expect(slots.admits(lane({ trust: "proven", organizationId: 5_000 }))).toBe(true);
  });

  test("let first tries into the last quarter of that half one by one, so that it is never full of those that hang", () => {
    const { clock, slots } = slotsOf(256);
    for (let i = 0; i < 96; i += 1) slots.take(lane({ organizationId: i }), "untried");
    expect(slots.newestFirst).toBe(true);
    expect(slots.admits(lane({ organizationId: 900, trust: "failing" }))).toBe(false);
    expect(slots.admits(lane({ organizationId: 901 }))).toBe(true);
    slots.take(lane({ organizationId: 901 }), "untried");
    expect(slots.admits(lane({ organizationId: 902 }))).toBe(false);
    clock.now = slots.nextFirstTry;
    expect(clock.now).toBeLessThan(500);
    expect(slots.admits(lane({ organizationId: 902 }))).toBe(true);
  });

  test("keep the last quarter for webhooks with nothing in flight, the last eighth for small organizations", () => {
    const { slots } = slotsOf(64);
    const big = lane({ trust: "proven", organizationId: 1 });
    for (let i = 0; i < 48; i += 1) slots.take(big, "proven");
    big.inFlight = 48;
    expect(slots.admits(big)).toBe(false);
    expect(slots.admits(lane({ trust: "proven", organizationId: 1 }))).toBe(true);
    for (let i = 0; i < 8; i += 1) slots.take(big, "proven");
    expect(slots.admits(lane({ trust: "proven", organizationId: 1 }))).toBe(false);
    expect(slots.admits(lane({ trust: "proven", organizationId: 2 }))).toBe(true);
  });

  test("work with a single one", () => {
    const { slots } = slotsOf(1);
    const webhook = lane();
    expect(slots.admits(webhook)).toBe(true);
    slots.take(webhook, "untried");
    expect(slots.admits(lane({ trust: "proven" }))).toBe(false);
    slots.release(webhook, "untried");
    expect(slots.admits(webhook)).toBe(true);
  });
});
