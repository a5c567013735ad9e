import { describe, expect, test } from "bun:test";
import type { Choice } from "../../src/delivery/choice.ts";
import { takeGroup } from "../../src/delivery/group.ts";
import { createPace } from "../../src/delivery/pace.ts";
import type { WebhookSettings } from "../../src/delivery/settings.ts";
import { createWebhookQueue, type WebhookQueue } from "../../src/delivery/webhook-queue.ts";
import type { ClaimedDelivery } from "../../src/store/delivery-queue.ts";

const delivery = (id: number, attemptCount = 0): ClaimedDelivery => ({
  id,
  webhookId: 1,
  eventId: id,
  body: "{}",
  attemptCount,
  budgetFrom: 0,
  dueAt: 0,
});

interface Given {
  waiting?: number[];
  retries?: number[];
  isGrouped?: boolean;
  perMinute?: number | null;
  burst?: number;
  aloneThrough?: number;
}

function queue({
  waiting = [],
  retries = [],
  isGrouped = true,
  perMinute = 60,
  burst = 1,
  ...rest
}: Given): WebhookQueue {
  return Object.assign(createWebhookQueue(1), {
    ...rest,
    settings: { isGrouped } as WebhookSettings,
    waiting: waiting.map((id) => delivery(id)),
    retries: retries.map((id) => delivery(id, 1)),
    pace: createPace(perMinute === null ? null : { perMinute, burst }),
  });
}

const idsOf = (deliveries: readonly ClaimedDelivery[]) => deliveries.map(({ id }) => id);
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

describe("what one request carries", () => {
  test.each<[string, Given, Choice, number[]]>([
    ["one is ready", { waiting: [1] }, "first", [1]],
    ["many are ready and one may go", { waiting: [1, 2, 3] }, "first", [1, 2, 3]],
    ["many are ready and all may go", { waiting: [1, 2, 3], perMinute: null }, "first", [1]],
    ["a burst is left", { waiting: [1, 2, 3], burst: 5 }, "first", [1]],
    ["its owner wants one message each", { waiting: [1, 2, 3], isGrouped: false }, "first", [1]],
    ["retries are ready too", { waiting: [4, 5], retries: [1, 3] }, "first", [1, 3, 4, 5]],
    ["a retry's turn", { waiting: [4, 5], retries: [1, 3] }, "retry", [1, 3, 4, 5]],
    ["a probe is the newest, with all others", { waiting: [1, 2, 3] }, "probe", [1, 2, 3]],
    ["of one that is alone", { waiting: [1, 2, 3], perMinute: null }, "probe", [3]],
    ["a hundred and more", { waiting: numbers(130) }, "first", numbers(100)],
  ])("%s", (_, given, choice, ids) => {
    expect(idsOf(takeGroup(queue(given), choice, 0))).toEqual(ids);
  });

  test("what is taken is no longer in the queue, the rest stays in order", () => {
    const given = queue({ waiting: numbers(130), retries: [200] });
    takeGroup(given, "first", 0);
    expect([idsOf(given.waiting), idsOf(given.retries)]).toEqual([numbers(130).slice(100), [200]]);
  });

  test("what was refused as a group goes one by one, whatever else is ready", () => {
    const given = queue({ waiting: [8, 9], retries: [1, 2, 6], aloneThrough: 5 });
    expect(idsOf(takeGroup(given, "retry", 0))).toEqual([1]);
    expect(idsOf(takeGroup(given, "first", 0))).toEqual([6, 8, 9]);
    expect(idsOf(given.retries)).toEqual([2]);
  });
});
