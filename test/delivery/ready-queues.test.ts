import { describe, expect, test } from "bun:test";
import { createReadyQueues, type Verdict } from "../../src/delivery/ready-queues.ts";
import {
  createWebhookQueue,
  type Trust,
  trustOf,
  type WebhookQueue,
} from "../../src/delivery/webhook-queue.ts";

const OPEN = { open: () => true, newestFirst: false };

function queue(webhookId: number, trust: Trust): WebhookQueue {
  const made = createWebhookQueue(webhookId);
  made.isProven = trust === "proven";
  if (trust === "failing") Object.assign(made.breaker, { isOpen: true });
  expect(trustOf(made)).toBe(trust);
  return made;
}

const many = (trust: Trust, count: number, from = 1) =>
  Array.from({ length: count }, (_, i) => queue(from + i, trust));

/** Who is taken in so many turns. */
const ALL: Parameters<ReturnType<typeof createReadyQueues>["next"]>[1] = OPEN;

function turns(
  queues: WebhookQueue[],
  count: number,
  { slots = ALL, test = (): Verdict => "take" as Verdict } = {},
) {
  const ready = createReadyQueues();
  for (const each of queues) ready.add(each);
  return Array.from({ length: count }, () => ready.next(test, slots)?.webhookId ?? null);
}

describe("webhooks that are ready", () => {
  test("are served in turn", () => {
    expect(turns(many("proven", 3), 6)).toEqual([1, 2, 3, 1, 2, 3]);
  });

  test("those that do well have every second turn, however many fail", () => {
    const served = turns(
      [...many("proven", 1), ...many("failing", 50, 100), ...many("untried", 50, 200)],
      12,
    );
    expect(served.filter((id) => id === 1)).toHaveLength(6);
    expect(served.filter((id) => id !== null && id >= 200)).toHaveLength(3);
  });

  test("the newest first try goes first when only those are let in now and then", () => {
    expect(turns(many("untried", 5), 1, { slots: { ...OPEN, newestFirst: true } })).toEqual([5]);
  });

  test("when all are to stop, the one that was looked at keeps its place", () => {
    const ready = createReadyQueues();
    for (const each of many("proven", 3)) ready.add(each);
    const looked: number[] = [];
    const stop = ({ webhookId }: WebhookQueue): Verdict => {
      looked.push(webhookId);
      return "stop";
    };
    expect(ready.next(stop, OPEN)).toBeNull();
    expect(looked).toEqual([1]);
    expect(ready.next(() => "take", OPEN)?.webhookId).toBe(1);
  });

  test("those without slots are passed over, and stay", () => {
    const slots = { open: (trust: Trust) => trust !== "failing", newestFirst: false };
    expect(turns([...many("failing", 3), ...many("proven", 1, 9)], 3, { slots })).toEqual([9, 9, 9]);
  });

  test("what is dropped comes back only when it is added", () => {
    const [a, b] = many("proven", 2) as [WebhookQueue, WebhookQueue];
    const ready = createReadyQueues();
    ready.add(a);
    ready.add(b);
    expect(ready.next((each) => (each === a ? "drop" : "take"), OPEN)).toBe(b);
    expect(ready.next(() => "drop", OPEN)).toBeNull();
    expect(ready.next(() => "take", OPEN)).toBeNull();
    ready.add(a);
    expect(ready.next(() => "take", OPEN)).toBe(a);
    ready.remove(a);
    expect(ready.next(() => "take", OPEN)).toBeNull();
  });

  test("reaches all in time also where the newest go first, and must be skipped", () => {
    const test = ({ webhookId }: WebhookQueue): Verdict => (webhookId > 36 ? "skip" : "take");
    const slots = { open: () => true, newestFirst: true };
    const taken = turns(many("untried", 100), 8, { slots, test: test as () => Verdict });
    expect(taken.find((webhookId) => webhookId !== null)).toBe(36);
  });

  test("looks at few of many that must be skipped, and reaches all in time", () => {
    const ready = createReadyQueues();
    const all = many("proven", 500);
    for (const each of all) ready.add(each);
    const last = all.at(-1);
    let looks = 0;
    let found: WebhookQueue | null = null;
    for (let calls = 0; calls < 20 && found === null; calls += 1) {
      found = ready.next((each) => {
        looks += 1;
        return each === last ? "take" : "skip";
      }, OPEN);
      expect(looks).toBeLessThanOrEqual((calls + 1) * 4 * 64);
    }
    expect(found).toBe(last as WebhookQueue);
  });

  test("one whose trust changed waits in its new line", () => {
    const ready = createReadyQueues();
    const one = queue(1, "untried");
    ready.add(one);
    expect(ready.hasUntried).toBe(true);
    one.isProven = true;
    ready.add(one);
    expect(ready.hasUntried).toBe(false);
  });
});
