import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Attempt } from "../../src/delivery/attempt.ts";
import { createMemory, type Memory } from "../../src/delivery/memory.ts";
import { createPace } from "../../src/delivery/pace.ts";
import { createScheduler, type Scheduler, type SchedulerOptions } from "../../src/delivery/scheduler.ts";
import { createSlots } from "../../src/delivery/slots.ts";
import type { WebhookQueue } from "../../src/delivery/webhook-queue.ts";
import { deliveryOf, queueOf, settingsOf } from "../support/engine.ts";

let begun: Attempt[];
let fetches: { webhookId: number; search: boolean }[];
let faults: unknown[];
let mayBegin: boolean;
/** Webhooks that another daemon sends to. */
let others: Set<number>;
let memory: Memory;
let scheduler: Scheduler;

const slotsOf = (total: number) => createSlots({ total, timeoutMs: 10_000, now: () => performance.now() });

const options = (): SchedulerOptions => ({
  slots: slotsOf(64),
  memory,
  clock: { schedule: () => Math.floor(performance.now()), wall: () => 5_000_000 },
  mayBegin: () => mayBegin,
  maySendTo: (webhookId) => !others.has(webhookId),
  fetch: ({ webhookId }, search) => fetches.push({ webhookId, search }),
  begin: (attempt) => begun.push(attempt),
  onFault: (error) => faults.push(error),
});

beforeEach(() => {
  [begun, fetches, faults] = [[], [], []];
  mayBegin = true;
  others = new Set();
  memory = createMemory();
  scheduler = createScheduler(options());
  scheduler.start();
});
afterEach(() => {
  scheduler.stop();
  expect(faults).toEqual([]);
});

function withWaiting(count: number, fields: Partial<WebhookQueue> = {}): WebhookQueue {
  const queue = queueOf({
    waiting: Array.from({ length: count }, (_, i) => deliveryOf(i + 1)),
    isProven: true,
    ...fields,
  });
  for (const { body } of queue.waiting) memory.add(body.length);
  return queue;
}

function pump(...queues: WebhookQueue[]): void {
  for (const queue of queues) scheduler.markReady(queue);
  scheduler.pump();
}

const idsBegun = () => begun.flatMap(({ deliveries }) => deliveries.map(({ id }) => id));

describe("the scheduler", () => {
  test("begins as many as the window allows, the oldest first, and goes on when one is over", () => {
    const queue = withWaiting(5);
    queue.window.size = 2;
    pump(queue);
    expect(idsBegun()).toEqual([1, 2]);
    expect([queue.inFlight, queue.starts]).toEqual([2, 2]);
    scheduler.release(begun[0] as Attempt);
    pump(queue);
    expect(idsBegun()).toEqual([1, 2, 3]);
  });

  test("finds what is due later although its pace, or a rest, has woken it before", async () => {
    const queue = withWaiting(2, { nextDueAt: performance.now() + 90 });
    queue.pace = createPace({ perMinute: 2_000, burst: 1 });
    scheduler.wakeAt(queue, queue.nextDueAt);
    pump(queue);
    scheduler.rest();
    await Bun.sleep(60);
    expect(fetches).toEqual([]);
    await Bun.sleep(90);
    expect(queue.hasDueRetries).toBe(true);
  });

  test("begins a bounded number in one turn of the event loop, and goes on with the next by itself", async () => {
    const queues = Array.from({ length: 400 }, (_, i) => withWaiting(1, { webhookId: i + 1 }));
    const roomy = createScheduler({ ...options(), slots: slotsOf(1_000) });
    roomy.start();
    for (const queue of queues) roomy.markReady(queue);
    roomy.pump();
    roomy.pump();
    expect(begun).toHaveLength(256);
    await new Promise(setImmediate);
    expect(begun).toHaveLength(400);
    roomy.stop();
  });

  test("has a bounded number filled in one turn, so that a burst for thousands keeps nobody waiting", async () => {
    pump(...Array.from({ length: 600 }, (_, i) => queueOf({ webhookId: i + 1, settings: null })));
    expect(fetches).toHaveLength(256);
    await new Promise(setImmediate);
    expect(fetches).toHaveLength(512);
    await new Promise(setImmediate);
    expect(fetches.map(({ webhookId }) => webhookId)).toEqual(Array.from({ length: 600 }, (_, i) => i + 1));
  });

  test("serves webhooks in turn", () => {
    const [one, two] = [withWaiting(3, { webhookId: 1 }), withWaiting(3, { webhookId: 2 })] as const;
    for (const queue of [one, two]) queue.window.size = 3;
    pump(one, two);
    expect(begun.map(({ queue }) => queue.webhookId)).toEqual([1, 2, 1, 2, 1, 2]);
  });

  test("has a queue filled that needs it, and begins nothing of it meanwhile", () => {
    pump(queueOf({ webhookId: 3, hasBacklog: true }));
    pump(queueOf({ webhookId: 4, settings: null }));
    pump(withWaiting(1, { webhookId: 5, isStale: true }));
    expect(fetches).toEqual([3, 4, 5].map((webhookId) => ({ webhookId, search: false })));
    expect(begun).toEqual([]);
  });

  test("loads a webhook anew when one of its rotated secrets has ended", () => {
    const queue = withWaiting(1, { settings: settingsOf({ targetUntil: 5_000_000 }) });
    pump(queue);
    expect([queue.isStale, fetches.length, begun.length]).toEqual([true, 1, 0]);
  });

  test("leaves alone what is off or given up", () => {
    pump(withWaiting(1, { settings: settingsOf({ enabled: false }) }), withWaiting(1, { isGivenUp: true }));
    expect([fetches, begun]).toEqual([[], []]);
  });

  test("wakes a paced webhook by itself when its time comes", async () => {
    const queue = withWaiting(2);
    Object.assign(queue.pace, { configured: 60 });
    pump(queue);
    expect(idsBegun()).toEqual([1]);
    scheduler.release(begun[0] as Attempt);
    pump(queue);
    expect(idsBegun()).toEqual([1]);
    await Bun.sleep(120);
    expect(idsBegun()).toEqual([1, 2]);
    const [first, second] = begun as [Attempt, Attempt];
    expect(second.startedAt - first.startedAt).toBeGreaterThanOrEqual(59);
  });

  test("looks for what is due in the store when its time comes", async () => {
    const queue = queueOf({ nextDueAt: Math.floor(performance.now()) + 30 });
    scheduler.wakeAt(queue, queue.nextDueAt);
    await Bun.sleep(80);
    expect(fetches).toEqual([{ webhookId: 1, search: false }]);
    expect([queue.hasDueRetries, queue.nextDueAt]).toEqual([true, Number.POSITIVE_INFINITY]);
  });

  test("begins nothing to a webhook that another daemon sends to", () => {
    const queue = withWaiting(2);
    others.add(queue.webhookId);
    pump(queue);
    expect(begun).toEqual([]);
    others.clear();
    pump(queue);
    expect(idsBegun()).toEqual([1]);
  });

  test("reads nothing of such a webhook either, and all of it anew once it comes to this daemon", () => {
    const queue = withWaiting(1, { settings: null, isTakenOver: false });
    others.add(queue.webhookId);
    pump(queue);
    expect(fetches).toEqual([]);
    others.clear();
    queue.settings = settingsOf();
    pump(queue);
    expect([fetches, idsBegun()]).toEqual([[{ webhookId: queue.webhookId, search: false }], []]);
  });

  test("reads one anew that was being given up while it went to others and came back, but only once that has ended", () => {
    const queue = withWaiting(0, { isStale: true, isGivenUp: true, hasBacklog: true, inFlight: 1 });
    pump(queue);
    expect(fetches).toEqual([]);
    queue.inFlight = 0;
    pump(queue);
    expect(fetches).toEqual([{ webhookId: queue.webhookId, search: false }]);
  });

  test("begins nothing while results cannot be written, while it rests, and once it is stopped", async () => {
    const queue = withWaiting(3);
    mayBegin = false;
    pump(queue);
    mayBegin = true;
    scheduler.rest();
    pump(queue);
    expect(begun).toEqual([]);
    await Bun.sleep(1_050);
    expect(idsBegun()).toEqual([1]);
    scheduler.stop();
    scheduler.release(begun[0] as Attempt);
    pump(queue);
    expect(idsBegun()).toEqual([1]);
  });

  test("bounds the bodies in flight", () => {
    const body = "x".repeat(32 * 1024 * 1024);
    const queue = queueOf({ waiting: [1, 2, 3].map((id) => deliveryOf(id, { body })), isProven: true });
    queue.window.size = 9;
    pump(queue);
    expect(idsBegun()).toEqual([1, 2]);
    scheduler.release(begun[0] as Attempt);
    pump(queue);
    expect(idsBegun()).toEqual([1, 2, 3]);
  });

  test("forgets a webhook whole", async () => {
    const queue = withWaiting(1);
    scheduler.markReady(queue);
    scheduler.wakeAt(queue, Math.floor(performance.now()) + 10);
    scheduler.forget(queue);
    scheduler.pump();
    await Bun.sleep(40);
    expect(begun).toEqual([]);
  });

  test("counts retries apart", () => {
    const queue = queueOf({ retries: [deliveryOf(1, { attemptCount: 1 })], isProven: true });
    pump(queue);
    expect([queue.retriesInFlight, begun[0]?.isFirst]).toEqual([1, false]);
    scheduler.release(begun[0] as Attempt);
    expect([queue.inFlight, queue.retriesInFlight]).toEqual([0, 0]);
  });

  /** Hanging ones take all slots that they may have; then a healthy one has an event. Answers in how many milliseconds it begins. */
  const beside = async (hanging: number, fields: Partial<WebhookQueue>, waiting: number): Promise<number> => {
    const healthy = withWaiting(1, { ...fields, webhookId: hanging + 1 });
    const { promise, resolve } = Promise.withResolvers<void>();
    const begin = ({ queue }: Attempt) => queue === healthy && resolve();
    const roomy = createScheduler({ ...options(), slots: slotsOf(4_096), begin });
    roomy.start();
    for (let i = 0; i < hanging; i += 1) {
      const queue = withWaiting(waiting, { webhookId: i + 1, ...fields });
      if (fields.isProven) queue.window.size = 50;
      roomy.markReady(queue);
    }
    roomy.pump();
    await Bun.sleep(300);
    const from = performance.now();
    roomy.markReady(healthy);
    roomy.pump();
    await Promise.race([promise, Bun.sleep(2_000)]);
    roomy.stop();
    return performance.now() - from;
  };

  test.each([
    [200, true, 60],
    [1_500, true, 60],
    [1_500, false, 60],
    [10_000, true, 60],
    [100_000, true, 1],
    [100_000, false, 1],
  ])(
    "begins a healthy webhook's event at once beside %p that hang, proven: %p, with %p waiting each",
    async (hanging, isProven, waiting) => {
      expect(await beside(hanging, { isProven }, waiting)).toBeLessThan(200);
    },
    20_000,
  );
});
