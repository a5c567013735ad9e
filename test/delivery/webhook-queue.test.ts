import { describe, expect, test } from "bun:test";
import type { WebhookSettings } from "../../src/delivery/settings.ts";
import {
  createWebhookQueue,
  isIdle,
  isOn,
  putBack,
  trustOf,
  type WebhookQueue,
} from "../../src/delivery/webhook-queue.ts";
import type { ClaimedDelivery } from "../../src/store/delivery-queue.ts";

const NOW = 100_000;
const ON = { enabled: true } as WebhookSettings;
const delivery = (id: number): ClaimedDelivery => ({
  id,
  webhookId: 1,
  eventId: id,
  body: "",
  attemptCount: 0,
  budgetFrom: 0,
  dueAt: 0,
});

function idle(changes: (queue: WebhookQueue) => void = () => {}): WebhookQueue {
  const queue = Object.assign(createWebhookQueue(1), {
    settings: ON,
    hasBacklog: false,
    hasDueRetries: false,
  });
  changes(queue);
  return queue;
}

describe("a webhook's queue", () => {
  test.each<[string, boolean, (queue: WebhookQueue) => void]>([
    ["nothing to do for long", true, () => {}],
    ["nothing was looked for yet", false, (queue) => Object.assign(queue, { hasBacklog: true })],
    ["failed ones may be due", false, (queue) => Object.assign(queue, { hasDueRetries: true })],
    ["something is due later", false, (queue) => Object.assign(queue, { nextDueAt: NOW })],
    ["something waits", false, (queue) => queue.waiting.push(delivery(1))],
    ["something is under way", false, (queue) => Object.assign(queue, { inFlight: 1 })],
    ["a fetch is under way", false, (queue) => Object.assign(queue, { isFetching: true })],
    ["new deliveries are promised a place", false, (queue) => Object.assign(queue, { expected: 1 })],
    ["it has failed", false, (queue) => Object.assign(queue.breaker, { failingSince: 1 })],
    [
      "a pace was learned",
      false,
      (queue) => Object.assign(queue.pace, { learned: 1_000, lastStartAt: NOW - 3_599_000 }),
    ],
    [
      "a pace was learned, and not used for an hour",
      true,
      (queue) => Object.assign(queue.pace, { learned: 1_000, lastStartAt: NOW - 3_600_001 }),
    ],
    ["its receiver has asked to wait", false, (queue) => Object.assign(queue.pace, { pausedUntil: NOW + 1 })],
    ["it was sent to lately", false, (queue) => Object.assign(queue.pace, { lastStartAt: NOW - 1_000 })],
    [
      "it is off, whatever the store has",
      true,
      (queue) => Object.assign(queue, { settings: { ...ON, enabled: false }, hasBacklog: true }),
    ],
    [
      "it was off, and a change of it is still being read",
      false,
      (queue) => Object.assign(queue, { settings: { ...ON, enabled: false }, isStale: true }),
    ],
    [
      "it is not loaded yet, and may have something",
      false,
      (queue) => Object.assign(queue, { settings: null, hasBacklog: true }),
    ],
    ["it is not there", true, (queue) => Object.assign(queue, { settings: null })],
  ])("may be forgotten: %s: %p", (_, may, changes) => {
    expect(isIdle(idle(changes), NOW)).toBe(may);
  });

  test("takes back what was put off, in front and in order", () => {
    const queue = createWebhookQueue(1);
    queue.waiting = [delivery(4), delivery(9)];
    putBack(queue, [delivery(5), delivery(2), delivery(11)]);
    expect(queue.waiting.map(({ id }) => id)).toEqual([2, 4, 5, 9, 11]);
  });

  test("is on once it is loaded, enabled and not given up", () => {
    expect(isOn(createWebhookQueue(1))).toBe(false);
    expect(isOn(idle())).toBe(true);
    expect(isOn(idle((queue) => Object.assign(queue, { isGivenUp: true })))).toBe(false);
    expect(isOn(idle((queue) => Object.assign(queue, { settings: { enabled: false } })))).toBe(false);
  });

  test("is trusted as far as its receiver has answered", () => {
    const queue = idle();
    expect(trustOf(queue)).toBe("untried");
    queue.isProven = true;
    expect(trustOf(queue)).toBe("proven");
    Object.assign(queue.breaker, { failingSince: 1, isAway: true });
    expect(trustOf(queue)).toBe("failing");
    Object.assign(queue.breaker, { isAway: false });
    expect(trustOf(queue)).toBe("proven");
    Object.assign(queue.breaker, { isOpen: true });
    expect(trustOf(queue)).toBe("failing");
  });
});
