import { beforeEach, describe, expect, test } from "bun:test";
import { createMemory, type Memory } from "../../src/delivery/memory.ts";
import { createQueueRegistry, type QueueRegistry } from "../../src/delivery/queue-registry.ts";
import type { WebhookSettings } from "../../src/delivery/settings.ts";
import type { Target } from "../../src/delivery/target.ts";
import type { ClaimedDelivery, Ending } from "../../src/store/delivery-queue.ts";
import { deliveryOf, settingsOf } from "../support/engine.ts";

let settings: WebhookSettings | null;
let released: number[];
let ready: number[];
let forgotten: number[];
let ended: Ending[];
let endings: number;
let isRunning: boolean;
let memory: Memory;
let registry: QueueRegistry;

beforeEach(() => {
  [released, ready, forgotten, ended] = [[], [], [], []];
  settings = settingsOf();
  isRunning = true;
  endings = 0;
  memory = createMemory();
  registry = createQueueRegistry({
    store: {
      release: (deliveries: readonly ClaimedDelivery[]) => released.push(...deliveries.map(({ id }) => id)),
      ending: async (webhookId) => ({ webhookId, reason: "webhook_deleted", throughId: 9 }),
      endPending: async (ending, onEnded) => {
        endings += 1;
        if (endings === 1) throw new Error("disk");
        ended.push(ending);
        onEnded({ uuid: "webhook", name: null }, 3);
      },
    },
    load: async () => settings,
    memory,
    clock: { schedule: () => 1_000_000, wall: () => 5_000_000 },
    scheduler: {
      markReady: ({ webhookId }) => ready.push(webhookId),
      forget: ({ webhookId }) => forgotten.push(webhookId),
      pump: () => {},
      get isRunning() {
        return isRunning;
      },
    },
    onEnded: () => {},
    onFault: () => {},
  });
});

function loaded(webhookId = 1) {
  const queue = registry.of(webhookId);
  registry.take(queue, settingsOf());
  Object.assign(queue, { hasBacklog: false, hasDueRetries: false });
  return queue;
}

describe("the queues of webhooks", () => {
  test("are made once, and known from then on", () => {
    expect(registry.known(1)).toBeNull();
    const queue = registry.of(1);
    expect(registry.of(1)).toBe(queue);
    expect(registry.known(1)).toBe(queue);
  });

  test("parked: what waits is given back, and is looked for again", () => {
    const queue = loaded();
    queue.waiting = [deliveryOf(1), deliveryOf(2)];
    queue.retries = [deliveryOf(3)];
    for (let i = 0; i < 3; i += 1) memory.add(2);
    const { generation } = queue;
    registry.park(queue);
    expect(released).toEqual([1, 2, 3]);
    expect([queue.waiting, queue.retries, queue.hasBacklog, queue.generation]).toEqual([
      [],
      [],
      true,
      generation + 1,
    ]);
    expect(forgotten).toEqual([1]);
  });

  test("that were disabled by their owner are let go of, and taken up when they are on again", async () => {
    const queue = loaded();
    queue.waiting = [deliveryOf(1)];
    settings = settingsOf({ enabled: false });
    registry.reload(1);
    await Bun.sleep(1);
    expect(queue.settings?.enabled).toBe(false);
    expect([released, ready]).toEqual([[1], []]);
    settings = settingsOf();
    registry.reload(1);
    await Bun.sleep(1);
    expect(ready).toEqual([1]);
  });

  test("of a deleted webhook are forgotten, and what is pending is ended, in a second try too", async () => {
    loaded();
    settings = null;
    registry.reload(1);
    await Bun.sleep(1);
    expect(registry.known(1)).toBeNull();
    await Bun.sleep(1_050);
    expect(ended).toEqual([{ webhookId: 1, reason: "webhook_deleted", throughId: 9 }]);
  });

  test.each([
    ["another URL", { target: { url: "https://two.example" } as Target }, true],
    ["another name", { name: "new" }, false],
  ])("with %s: a clean record: %p", (_, change, isClean) => {
    const queue = loaded();
    Object.assign(queue.breaker, { isOpen: true, failures: 9 });
    queue.pace.learned = 1_000;
    queue.window.size = 20;
    registry.take(queue, settingsOf(change));
    expect([queue.breaker.isOpen, queue.pace.learned, queue.window.size]).toEqual(
      isClean ? [false, 0, 1] : [true, 1_000, 20],
    );
  });

  test("begin with what is known of their webhooks", () => {
    const queue = registry.of(1);
    registry.take(
      queue,
      settingsOf({ failureCount: 7, lastSuccessAt: 5, pace: { perMinute: 60, burst: 1 } }),
    );
    expect([queue.breaker.isOpen, queue.isProven, queue.failureCount, queue.pace.configured]).toEqual([
      true,
      true,
      7,
      1_000,
    ]);
  });

  test("go on with a pause that a daemon before this one was asked for, and with a longer one of their own", () => {
    const queue = registry.of(1);
    const left = () => queue.pace.pausedUntil - performance.now();
    registry.take(queue, settingsOf({ pausedUntil: 1_060_000 }));
    expect(left()).toBeWithin(59_000, 60_001);
    queue.pace.pausedUntil += 60_000;
    registry.take(queue, settingsOf({ pausedUntil: 1_060_000 }));
    expect(left()).toBeWithin(119_000, 120_001);
    // Where the receiver is another one, the store has forgotten it.
    registry.take(queue, settingsOf({ target: { url: "https://two.example" } as Target, pausedUntil: null }));
    expect(left()).toBeLessThan(0);
  });

  test("are swept when nothing is lost with them", () => {
    loaded(1);
    loaded(2).waiting = [deliveryOf(1)];
    registry.sweep();
    expect([registry.known(1), registry.known(2)?.webhookId]).toEqual([null, 2]);
  });

  test("are counted while their receivers have asked to wait", () => {
    loaded(1).pace.pausedUntil = performance.now() + 1_000;
    loaded(2);
    expect(registry.paused()).toBe(1);
  });

  test("are not looked at once the engine has stopped", () => {
    isRunning = false;
    registry.look(1);
    expect(registry.known(1)).toBeNull();
  });
});
