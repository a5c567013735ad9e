import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Attempt } from "../../src/delivery/attempt.ts";
import { createAttemptRecorder } from "../../src/delivery/attempt-recorder.ts";
import { createCompletion } from "../../src/delivery/completion.ts";
import { createMemory, type Memory } from "../../src/delivery/memory.ts";
import type { AttemptOutcome } from "../../src/delivery/observer.ts";
import { createQueueRegistry, type QueueRegistry } from "../../src/delivery/queue-registry.ts";
import { spanOf } from "../../src/delivery/retry-policy.ts";
import { createScheduler, type Scheduler } from "../../src/delivery/scheduler.ts";
import type { AttemptResult } from "../../src/delivery/send.ts";
import type { WebhookSettings } from "../../src/delivery/settings.ts";
import { createSlots, type Slots } from "../../src/delivery/slots.ts";
import type { WebhookQueue } from "../../src/delivery/webhook-queue.ts";
import type { AttemptRecord, ClaimedDelivery, Ending, WebhookDelta } from "../../src/store/delivery-queue.ts";
import { StoreFault } from "../../src/store/faults.ts";
import { deliveryOf, POLICY, resultOf, settingsOf } from "../support/engine.ts";

/** The delivery core without its network, and a store that writes when it is told to. */
const NOW = 1_000_000;
const WALL = 7_000_000;
/** Milliseconds before the first retry. */
const PAUSE = 40;

/** What happened, in order. */
let events: string[];
let begun: Attempt[];
let outcomes: AttemptOutcome[];
let records: AttemptRecord[];
let deltas: WebhookDelta[];
let released: number[];
let fetches: number[];
let faults: unknown[];
/** A write resolves when this does. */
let writing: Promise<unknown>;
/** Webhooks that another daemon sends to. */
let others: Set<number>;
let loaded: WebhookSettings | null;
/** Deliveries that were retried by hand during their attempts. */
let renewed: Set<number>;
/** Where the webhook's receiver is, as the store has it. */
let storedUrl: string;
let slots: Slots;
let memory: Memory;
let scheduler: Scheduler;
let registry: QueueRegistry;
let end: (attempt: Attempt, result: AttemptResult) => void;

beforeEach(() => {
  [events, begun, outcomes, records, deltas, released, fetches, faults] = [[], [], [], [], [], [], [], []];
  writing = Promise.resolve();
  others = new Set();
  loaded = settingsOf();
  storedUrl = "https://one.example";
  renewed = new Set();
  memory = createMemory();
  slots = createSlots({ total: 64, timeoutMs: 10_000, now: () => performance.now() });
  const startedAt = performance.now();
  const clock = { schedule: () => NOW + Math.floor(performance.now() - startedAt), wall: () => WALL };
  const mayBegin = (webhookId: number) => !others.has(webhookId);
  const release = (deliveries: readonly ClaimedDelivery[]) => {
    released.push(...deliveries.map(({ id }) => id));
  };
  const recorder = createAttemptRecorder({
    queue: {
      record: async (written, changes) => {
        await writing;
        events.push(`wrote ${written.map(({ deliveryId }) => deliveryId)}`);
        records.push(...written);
        deltas.push(...changes);
        const endings = changes.flatMap(({ webhookId, url, disabledReason }): Ending[] =>
          disabledReason === null || url !== storedUrl
            ? []
            : [{ webhookId, reason: "webhook_disabled", throughId: 9 }],
        );
        return { endings, renewed };
      },
    },
    onWritten: () => events.push("all told"),
    onEnding: () => {},
    onFault: (error) => faults.push(error),
  });
  scheduler = createScheduler({
    slots,
    memory,
    clock,
    mayBegin: () => !recorder.isStuck,
    maySendTo: mayBegin,
    fetch: ({ webhookId }) => fetches.push(webhookId),
    begin: (attempt) => begun.push(attempt),
    onFault: (error) => faults.push(error),
  });
  registry = createQueueRegistry({
    store: { release, ending: async () => null, endPending: async () => {}, mayBegin },
    load: async () => loaded,
    memory,
    clock,
    scheduler,
    onEnded: () => {},
    onFault: (_, error) => faults.push(error),
  });
  const policy = { ...POLICY, minDelay: PAUSE };
  end = createCompletion({
    store: { release, mayBegin },
    clock,
    judging: { policy, span: spanOf(policy), maxWindow: 2, isRushed: () => false },
    memory,
    recorder,
    registry,
    scheduler,
    observer: {
      attempted: (outcome) => {
        outcomes.push(outcome);
        events.push(`told ${outcome.deliveryId}, ${slots.inUse} in flight`);
      },
      disabled: (_, reason, failures) => events.push(`disabled: ${reason} after ${failures}`),
      ended: () => {},
      fault: (_, error) => faults.push(error),
    },
    onReleased: () => events.push("released"),
  });
  scheduler.start();
});
afterEach(() => {
  scheduler.stop();
  expect(faults).toEqual([]);
});

/** A webhook's queue with deliveries, of which as many have begun as its window lets. */
function begin(deliveries: readonly ClaimedDelivery[], change: Partial<WebhookSettings> = {}): WebhookQueue {
  const queue = registry.of(1);
  registry.take(queue, settingsOf(change));
  Object.assign(queue, { hasBacklog: false, hasDueRetries: false, isProven: true, waiting: [...deliveries] });
  queue.window.size = 2;
  for (const { body } of deliveries) memory.add(body.length);
  scheduler.markReady(queue);
  scheduler.pump();
  expect(begun.length).toBeGreaterThan(0);
  return queue;
}

const first = () => begun[0] as Attempt;
const idsOf = (deliveries: readonly ClaimedDelivery[]) => deliveries.map(({ id }) => id);
const idsBegun = () => begun.map(({ deliveries }) => idsOf(deliveries));
const soon = () => Bun.sleep(10);

const FAILED = resultOf({ status: 500, error: "http_status", meaning: { kind: "failed" } });
const UNSENT = resultOf({ status: null, error: null, meaning: { kind: "unsent" } });
const GONE = resultOf({
  status: 410,
  error: "http_status",
  meaning: { kind: "disable", reason: "gone" },
});
/** An answer that asks to come again: what it is about stays in front. */
const asksToWait = (milliseconds: number) =>
  resultOf({ status: 429, error: "http_status", meaning: { kind: "wait", milliseconds } });

/** Has a write wait until what is returned is called. */
function holdWrites(): (error?: Error) => void {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  writing = promise;
  return (error) => {
    writing = Promise.resolve();
    if (error) reject(error);
    else resolve();
  };
}

describe("the end of an attempt", () => {
  test("is judged at once, written, then told, and what it held is free when it is told", async () => {
    const write = holdWrites();
    const queue = begin([deliveryOf(1)]);
    queue.failureCount = 3;
    end(first(), resultOf());
    expect(queue.failureCount).toBe(0);
    await soon();
    expect(events).toEqual([]);
    write();
    await soon();
    expect(events).toEqual(["wrote 1", "told 1, 0 in flight", "all told"]);
    expect(outcomes).toMatchObject([
      { deliveryId: 1, eventId: 1, isOn: true, failures: { before: 3, after: 0 } },
    ]);
    expect(outcomes[0]?.record).toBe(records[0] as AttemptRecord);
    expect(deltas).toMatchObject([{ webhookId: 1, succeeded: true, failures: 0, disabledReason: null }]);
    expect(deltas[0]?.lastSuccessAt).toBeWithin(NOW, NOW + 1_000);
  });

  test("holds its slot and its place in the window until it is written, then the next begins", async () => {
    const write = holdWrites();
    const queue = begin([deliveryOf(1), deliveryOf(2), deliveryOf(3)]);
    end(first(), resultOf());
    await soon();
    scheduler.markReady(queue);
    scheduler.pump();
    expect([slots.inUse, queue.inFlight, idsBegun()]).toEqual([2, 2, [[1], [2]]]);
    write();
    await soon();
    expect([slots.inUse, queue.inFlight]).toEqual([1, 1]);
    scheduler.pump();
    expect(idsBegun()).toEqual([[1], [2], [3]]);
  });

  test("is told of once for each delivery, and only when it is written, if the store has failed before", async () => {
    const write = holdWrites();
    const queue = begin([deliveryOf(1), deliveryOf(2)], {
      isGrouped: true,
      pace: { perMinute: 60, burst: 1 },
    });
    expect(idsBegun()).toEqual([[1, 2]]);
    end(first(), resultOf());
    await soon();
    write(new StoreFault("disk full"));
    await soon();
    expect([events, slots.inUse, queue.inFlight]).toEqual([[], 1, 1]);
    await Bun.sleep(300);
    expect(events).toEqual(["wrote 1,2", "told 1, 0 in flight", "told 2, 0 in flight", "all told"]);
    expect(outcomes.map(({ record }) => record.deliveryId)).toEqual([1, 2]);
  });

  test("of one that failed waits for its pause, which is written with it and wakes the scheduler", async () => {
    const queue = begin([deliveryOf(1)]);
    end(first(), FAILED);
    expect(queue.failureCount).toBe(0);
    await soon();
    expect(queue.failureCount).toBe(1);
    const [record] = records as [AttemptRecord];
    expect(record).toMatchObject({ status: "pending", isCharged: true, keepsClaim: false });
    expect(record.nextAttemptAt).toBeWithin(NOW + PAUSE, NOW + PAUSE + 10);
    expect([idsOf(queue.waiting), queue.nextDueAt]).toEqual([[], record.nextAttemptAt as number]);
    expect([queue.hasDueRetries, fetches]).toEqual([false, []]);
    await Bun.sleep(2 * PAUSE);
    expect([queue.hasDueRetries, fetches]).toEqual([true, [1]]);
  });

  test("is not due before what was due sooner", async () => {
    const queue = begin([deliveryOf(1)]);
    queue.nextDueAt = NOW + 1;
    end(first(), FAILED);
    await soon();
    expect(records[0]?.nextAttemptAt).toBeGreaterThanOrEqual(NOW + PAUSE);
    expect(queue.nextDueAt).toBeOneOf([NOW + 1, Number.POSITIVE_INFINITY]);
    expect(queue.hasDueRetries).toBe(true);
  });
});

describe("a delivery whose receiver asks to wait", () => {
  test("goes in front of those that came later, in order, and is sent again when the time is over", async () => {
    const queue = begin([1, 2, 3, 4].map((id) => deliveryOf(id)));
    expect(idsOf(queue.waiting)).toEqual([3, 4]);
    const [one, two] = begun as [Attempt, Attempt];
    end(one, asksToWait(60));
    end(two, asksToWait(60));
    await soon();
    expect(records).toMatchObject([
      { deliveryId: 1, status: "pending", isCharged: false, keepsClaim: true },
      { deliveryId: 2, status: "pending", isCharged: false, keepsClaim: true },
    ]);
    expect(deltas[0]?.pausedUntil).toBeWithin(NOW + 55, NOW + 100);
    expect(idsOf(queue.waiting)).toEqual([1, 2, 3, 4]);
    expect(queue.waiting[0]).toMatchObject({ attemptCount: 1, budgetFrom: 1 });
    expect([released, queue.nextDueAt, begun.length]).toEqual([[], Number.POSITIVE_INFINITY, 2]);
    scheduler.pump();
    await Bun.sleep(150);
    expect(idsBegun()).toEqual([[1], [2], [1]]);
  });

  test("counts in memory again", async () => {
    begin([deliveryOf(1)]);
    for (let i = 1; i < 8_000; i += 1) memory.add(0);
    expect(memory.isFull).toBe(false);
    end(first(), asksToWait(60));
    await soon();
    expect(memory.isFull).toBe(true);
  });

  const meanwhile: [what: string, happens: (queue: WebhookQueue) => void][] = [
    ["its webhook was switched off", (queue) => registry.take(queue, settingsOf({ enabled: false }))],
    ["its webhook is given up", (queue) => Object.assign(queue, { isGivenUp: true })],
    ["its webhook was changed", (queue) => Object.assign(queue, { isStale: true })],
    ["another daemon sends to its webhook", ({ webhookId }) => others.add(webhookId)],
    [
      "its webhook went to another daemon and came back",
      (queue) => {
        registry.lose(() => true);
        registry.take(queue, settingsOf());
        Object.assign(queue, { hasBacklog: false, hasDueRetries: false });
      },
    ],
    ["the engine stops", () => scheduler.stop()],
  ];
  test.each(meanwhile)("is given back to the store when %s meanwhile", async (_, happens) => {
    const queue = begin([deliveryOf(1)]);
    end(first(), asksToWait(60));
    happens(queue);
    await soon();
    expect([released, queue.waiting, outcomes.length]).toEqual([[1], [], 1]);
    expect([queue.hasBacklog, queue.hasDueRetries]).toEqual([true, true]);
  });

  test("keeps its place when its webhook was changed in what does not matter, and is known again", async () => {
    const queue = begin([1, 2, 3].map((id) => deliveryOf(id)));
    loaded = settingsOf({ name: "renamed" });
    registry.reload(1);
    await soon();
    expect(released).toEqual([3]);
    Object.assign(queue, { waiting: [deliveryOf(3)] });
    end(first(), asksToWait(60));
    await soon();
    expect([released, idsOf(queue.waiting)]).toEqual([[3], [1, 3]]);
  });

  test("is left to the store when it was retried by hand meanwhile: that has given it back", async () => {
    renewed.add(1);
    const queue = begin([deliveryOf(1)]);
    queue.refusedSince.set(1, NOW - 1_000);
    end(first(), asksToWait(60));
    await soon();
    expect([released, queue.waiting, outcomes.length]).toEqual([[], [], 1]);
    // Its budget is a fresh one, whatever was answered before.
    expect(queue.refusedSince.size).toBe(0);
  });

  test("is given back when its webhook was deleted, whose queue is forgotten", async () => {
    const queue = begin([deliveryOf(1)]);
    end(first(), asksToWait(60));
    loaded = null;
    registry.reload(1);
    await soon();
    expect(registry.known(1)).toBeNull();
    expect([released, queue.waiting]).toEqual([[1], []]);
  });

  test("is given back when its queue has made way for another", async () => {
    const write = holdWrites();
    const queue = begin([deliveryOf(1)]);
    end(first(), asksToWait(60));
    await soon();
    loaded = null;
    registry.reload(1);
    await soon();
    // As after a webhook has gone to another daemon and come back.
    const next = registry.of(1);
    registry.take(next, settingsOf());
    Object.assign(queue, { settings: settingsOf(), isStale: false });
    write();
    await soon();
    expect([released, queue.waiting, next.waiting]).toEqual([[1], [], []]);
  });
});

describe("an attempt that came to nothing", () => {
  test("leaves no trace: nothing is written or told, all of it waits where it was, and nothing begins for a moment", async () => {
    const queue = begin([deliveryOf(1), deliveryOf(2), deliveryOf(3)]);
    end(first(), UNSENT);
    expect(events).toEqual(["released"]);
    expect([slots.inUse, queue.inFlight, idsOf(queue.waiting)]).toEqual([1, 1, [1, 3]]);
    expect(queue.waiting[0]).toEqual(deliveryOf(1));
    scheduler.pump();
    await soon();
    expect([idsBegun(), records, outcomes]).toEqual([[[1], [2]], [], []]);
    await Bun.sleep(1_050);
    expect(idsBegun()).toEqual([[1], [2], [1]]);
  });

  test("gives back to the store what may not stay", () => {
    const queue = begin([deliveryOf(1)]);
    queue.isStale = true;
    end(first(), UNSENT);
    expect([released, queue.waiting, slots.inUse, events]).toEqual([[1], [], 0, ["released"]]);
  });
});

describe("an answer that gives a webhook up", () => {
  test("stops it at once, is written with it, then parks it and is told", async () => {
    const write = holdWrites();
    const queue = begin([1, 2, 3, 4].map((id) => deliveryOf(id)));
    end(first(), GONE);
    expect(queue.isGivenUp).toBe(true);
    await soon();
    expect([released, queue.settings?.enabled]).toEqual([[], true]);
    write();
    await soon();
    expect(deltas).toMatchObject([{ webhookId: 1, disabledReason: "gone", failures: 1 }]);
    expect(records).toMatchObject([{ deliveryId: 1, status: "failed", finishedAt: WALL }]);
    expect(events).toEqual(["wrote 1", "told 1, 1 in flight", "disabled: gone after 1", "all told"]);
    expect(outcomes[0]?.isOn).toBe(false);
    expect([released, queue.waiting, queue.settings?.enabled]).toEqual([[3, 4], [], false]);
  });

  test.each([
    ["written together", false],
    ["written one after the other", true],
  ])("is told once, also where two say so, %s", async (_, isApart) => {
    const queue = begin([deliveryOf(1), deliveryOf(2)]);
    const [one, two] = begun as [Attempt, Attempt];
    const told = () => events.filter((event) => event.startsWith("disabled"));
    end(one, GONE);
    if (isApart) await soon();
    end(two, GONE);
    await soon();
    expect(told()).toHaveLength(1);
    // On again, and given up again.
    registry.take(queue, settingsOf());
    Object.assign(queue, { waiting: [deliveryOf(3)], hasBacklog: false, hasDueRetries: false });
    scheduler.markReady(queue);
    scheduler.pump();
    end(begun[2] as Attempt, GONE);
    await soon();
    expect(told()).toHaveLength(2);
  });

  test("of a receiver that the webhook no longer has gives nothing up: what it refused is due, and all is read again", async () => {
    storedUrl = "https://two.example";
    const queue = begin([deliveryOf(1)]);
    end(first(), GONE);
    await soon();
    expect(deltas).toMatchObject([{ url: "https://one.example", disabledReason: "gone" }]);
    expect(records).toMatchObject([{ status: "failed", failsWithWebhook: true }]);
    expect(events).toEqual(["wrote 1", "told 1, 0 in flight", "all told"]);
    expect(outcomes).toMatchObject([{ isOn: true, record: { status: "pending", finishedAt: null } }]);
    expect([queue.isGivenUp, queue.isStale, queue.settings?.enabled]).toEqual([false, true, true]);
    scheduler.pump();
    expect(fetches).toEqual([1]);
  });

  test("is that of its last try, when nothing got through", async () => {
    const queue = begin([deliveryOf(1, { attemptCount: 11 })]);
    end(first(), FAILED);
    await soon();
    expect(events).toContain("disabled: attempts_exhausted after 1");
    expect(queue.settings?.enabled).toBe(false);
  });

  test("begins nothing that another attempt leaves behind", async () => {
    const queue = begin([deliveryOf(1), deliveryOf(2)]);
    const [one, two] = begun as [Attempt, Attempt];
    end(one, GONE);
    end(two, asksToWait(0));
    await soon();
    scheduler.pump();
    expect([released, queue.waiting, begun.length]).toEqual([[2], [], 2]);
    expect(outcomes.map(({ deliveryId }) => deliveryId)).toEqual([1, 2]);
  });
});
