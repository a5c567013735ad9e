import { expect, test } from "bun:test";
import { type Choice, choose } from "../../src/delivery/choice.ts";
import { createWebhookQueue, type WebhookQueue } from "../../src/delivery/webhook-queue.ts";
import type { ClaimedDelivery } from "../../src/store/delivery-queue.ts";

const NOW = 1_000_000;
const MONOTONIC = 5_000;
const NOTHING = { wait: Number.POSITIVE_INFINITY };
const some = (count: number): ClaimedDelivery[] =>
  Array.from({ length: count }, (_, i) => ({
    id: i + 1,
    webhookId: 1,
    eventId: i,
    body: "",
    attemptCount: 0,
    budgetFrom: 0,
    dueAt: 0,
  }));

type Changes = Partial<Omit<WebhookQueue, "breaker" | "pace" | "window">> & {
  breaker?: Partial<WebhookQueue["breaker"]>;
  pace?: Partial<WebhookQueue["pace"]>;
  window?: Partial<WebhookQueue["window"]>;
};

function queue({ breaker, pace, window, ...rest }: Changes): WebhookQueue {
  const made = { ...createWebhookQueue(1), hasBacklog: false, hasDueRetries: false, ...rest };
  Object.assign(made.breaker, breaker);
  Object.assign(made.pace, pace);
  Object.assign(made.window, window);
  return made;
}

const OPEN = { isOpen: true, probeAt: NOW + 9, retryAt: NOW + 4, failingSince: 0 };
const MAY_PROBE = { ...OPEN, probeAt: NOW };
const AWAY = { failingSince: NOW - 90_000, isAway: true };

test.each<[string, Changes, Choice]>([
  ["nothing is there", {}, NOTHING],
  ["the store has more, memory is empty", { hasBacklog: true }, "fetch"],
  ["a fetch is under way", { hasBacklog: true, isFetching: true }, NOTHING],
  ["the store has more, memory too", { hasBacklog: true, waiting: some(1) }, "first"],
  ["failed ones are due in the store", { hasDueRetries: true, waiting: some(1) }, "fetch"],
  ["something waits", { waiting: some(3) }, "first"],
  ["the window is full", { waiting: some(3), inFlight: 1 }, NOTHING],
  ["the window has room", { waiting: some(3), inFlight: 1, window: { size: 2.5 } }, "first"],
  ["paused", { waiting: some(3), pace: { pausedUntil: MONOTONIC + 300 } }, { wait: 300 }],
  ["paced", { waiting: some(3), pace: { configured: 1_000, nextAt: MONOTONIC + 70 } as never }, { wait: 70 }],
  ["paused, and memory is empty", { hasBacklog: true, pace: { pausedUntil: MONOTONIC + 300 } }, "fetch"],
  ["only a retry is due", { retries: some(1) }, "retry"],
  ["a retry is due, its turn", { retries: some(1), waiting: some(1), starts: 4 }, "retry"],
  ["a retry is due, not its turn", { retries: some(1), waiting: some(1), starts: 5 }, "first"],
  [
    "retries have their share",
    { retries: some(1), waiting: some(1), starts: 4, inFlight: 1, retriesInFlight: 1, window: { size: 4 } },
    "first",
  ],
  ["a retry must rest", { retries: some(1), breaker: { retryAt: NOW + 40 } }, { wait: 40 }],
  ["open: it rests", { waiting: some(1), breaker: OPEN }, { wait: 9 }],
  ["open: the rest is over", { waiting: some(2), breaker: MAY_PROBE }, "probe"],
  ["open: a probe is under way", { waiting: some(2), inFlight: 1, breaker: MAY_PROBE }, NOTHING],
  [
    "open: a retry is under way",
    { waiting: some(2), inFlight: 1, retriesInFlight: 1, breaker: MAY_PROBE },
    "probe",
  ],
  [
    "open: a retry beside the rest",
    { waiting: some(2), retries: some(1), breaker: { ...OPEN, retryAt: NOW } },
    "retry",
  ],
  [
    "open: one retry at a time",
    { retries: some(2), inFlight: 1, retriesInFlight: 1, breaker: { ...OPEN, retryAt: NOW } },
    NOTHING,
  ],
  ["open: resting, the store has more", { hasBacklog: true, breaker: OPEN }, { wait: 9 }],
  ["open: to be probed, the store has more", { hasBacklog: true, breaker: MAY_PROBE }, "fetch"],
  ["away, nothing due, something later", { nextDueAt: NOW + 1e6, breaker: AWAY }, "search"],
  [
    "away, it is being searched for",
    { nextDueAt: NOW + 1e6, inFlight: 1, retriesInFlight: 1, window: { size: 9 }, breaker: AWAY },
    NOTHING,
  ],
  [
    "away for a short time",
    { nextDueAt: NOW + 1e6, breaker: { ...AWAY, failingSince: NOW } },
    { wait: 60_000 },
  ],
  ["away, nothing pending", { breaker: AWAY }, NOTHING],
])("%s", (_, changes, choice) => {
  expect(choose(queue(changes), NOW, MONOTONIC)).toEqual(choice);
});
