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
let loads: number;
let load: () => Promise<WebhookSettings | null>;
/** Whether another daemon sends to all of them. */
let isOthers: boolean;

beforeEach(() => {
  isOthers = false;
  [released, ready, forgotten, ended] = [[], [], [], []];
  settings = settingsOf();
  loads = 0;
  load = async () => settings;
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
      mayBegin: () => !isOthers,
    },
    load: async () => {
      loads += 1;
      return load();
    },
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
    queue.refusedSince.set(1, 900_000);
    registry.park(queue);
    expect(queue.refusedSince.size).toBe(0);
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
    Object.assign(queue.window, { size: 20, least: 3 });
    registry.take(queue, settingsOf(change));
    expect([queue.breaker.isOpen, queue.pace.learned, queue.window.size, queue.window.least]).toEqual(
      isClean ? [false, 0, 1, Number.POSITIVE_INFINITY] : [true, 1_000, 20, 3],
    );
    expect([queue.hastenBefore, queue.hasDueRetries]).toEqual(isClean ? [5_000_000, true] : [null, false]);
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

  test("go on with what a daemon before this one was told, once, and keep what they know better", () => {
    const queue = registry.of(1);
    const left = () => queue.pace.pausedUntil - performance.now();
    const told = settingsOf({ pausedUntil: 1_060_000, lastSuccessAt: 900_000 });
    registry.take(queue, told);
    expect(left()).toBeWithin(59_000, 60_001);
    expect(queue.lastSuccessAt).toBe(900_000);
    // An answer of the receiver before may have been written after the webhook got another one.
    registry.take(queue, settingsOf({ target: { url: "https://two.example" } as Target }));
    registry.take(queue, { ...told, target: { url: "https://two.example" } as Target });
    expect(left()).toBeLessThan(0);
    queue.lastSuccessAt = 990_000;
    registry.take(queue, told);
    expect(queue.lastSuccessAt).toBe(990_000);
  });

  test("of webhooks that others send to know nothing for sure: it is read again once they come to this daemon", () => {
    isOthers = true;
    const queue = registry.of(1);
    registry.take(queue, settingsOf());
    expect(queue.isTakenOver).toBe(false);
    isOthers = false;
    registry.take(queue, settingsOf({ pausedUntil: 1_060_000, lastSuccessAt: 950_000 }));
    expect([queue.isTakenOver, queue.lastSuccessAt]).toEqual([true, 950_000]);
    expect(queue.pace.pausedUntil - performance.now()).toBeWithin(59_000, 60_001);
    queue.inFlight = 1;
    registry.lose(() => true);
    expect([registry.known(1), queue.isTakenOver, queue.isStale]).toEqual([queue, false, true]);
  });

  test("of webhooks that others send to are not read when they are changed", async () => {
    const queue = loaded();
    isOthers = true;
    registry.reload(1);
    registry.reload(2);
    await Bun.sleep(1);
    expect([loads, queue.isStale, ready]).toEqual([0, true, []]);
  });

  test("of deleted webhooks are ended also by who does not send to them: nobody may", async () => {
    isOthers = true;
    endings = 1;
    registry.reload(1);
    await Bun.sleep(1);
    expect([loads, ended]).toEqual([0, [{ webhookId: 1, reason: "webhook_deleted", throughId: 9 }]]);
  });

  test("take nothing over that was read before a hand-over", async () => {
    const queue = loaded();
    const { promise, resolve } = Promise.withResolvers<WebhookSettings | null>();
    load = () => promise;
    registry.reload(1);
    queue.inFlight = 1;
    registry.lose(() => true);
    // It is this daemon's again, and the one before has been told to wait meanwhile.
    resolve(settingsOf());
    await Bun.sleep(1);
    expect([registry.known(1), queue.isTakenOver, queue.isStale]).toEqual([queue, false, true]);
  });

  test("of webhooks that others send to are let go of, once nothing of them is under way", () => {
    isOthers = true;
    const queue = registry.of(1);
    queue.inFlight = 1;
    registry.sweep();
    expect(registry.known(1)).toBe(queue);
    queue.inFlight = 0;
    registry.sweep();
    expect(registry.known(1)).toBeNull();
    isOthers = false;
    const ours = registry.of(2);
    registry.take(ours, settingsOf());
    ours.pace.learned = 1_000;
    // The lease is in doubt, and nobody has taken anything.
    isOthers = true;
    registry.sweep();
    expect(registry.known(2)).toBe(ours);
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
