import { beforeEach, describe, expect, test } from "bun:test";
import { createFetcher, type Fetcher } from "../../src/delivery/fetcher.ts";
import { createMemory, type Memory } from "../../src/delivery/memory.ts";
import type { WebhookSettings } from "../../src/delivery/settings.ts";
import { createWebhookQueue, type WebhookQueue } from "../../src/delivery/webhook-queue.ts";
import type { Claim, ClaimedDelivery, ClaimRequest } from "../../src/store/delivery-queue.ts";
import { deliveryOf, queueOf, settingsOf } from "../support/engine.ts";

const NOW = 1_000_000;
const NOTHING: Claim = {
  fresh: [],
  again: [],
  moreFresh: false,
  moreAgain: false,
  nextDueAt: Number.POSITIVE_INFINITY,
};

let requests: ClaimRequest[];
let released: number[];
let fetched: { webhookId: number; nextLook: number }[];
let faults: unknown[];
let answer: () => Promise<Claim>;
let load: () => Promise<WebhookSettings | null>;
let memory: Memory;
let fetcher: Fetcher;

beforeEach(() => {
  [requests, released, fetched, faults] = [[], [], [], []];
  answer = async () => NOTHING;
  load = async () => settingsOf();
  memory = createMemory();
  fetcher = createFetcher({
    store: {
      claim: (request) => {
        requests.push(request);
        return answer();
      },
      release: (deliveries: readonly ClaimedDelivery[]) => released.push(...deliveries.map(({ id }) => id)),
    },
    load: () => load(),
    memory,
    schedule: () => NOW,
    isRunning: () => true,
    onSettings: (queue, settings) => Object.assign(queue, { settings, isStale: false }),
    onFetched: ({ webhookId }, nextLook) => fetched.push({ webhookId, nextLook }),
    onFault: (error) => faults.push(error),
  });
});

async function fetch(queue: WebhookQueue, search = false): Promise<void> {
  fetcher.fetch(queue, search);
  expect(queue.isFetching).toBe(true);
  await Bun.sleep(1);
  expect(queue.isFetching).toBe(false);
}

const idsOf = (deliveries: readonly ClaimedDelivery[]) => deliveries.map(({ id }) => id);

describe("a fetch", () => {
  test("loads settings that are not known, then claims what is due, and says so", async () => {
    answer = async () => ({
      ...NOTHING,
      fresh: [deliveryOf(1), deliveryOf(2)],
      again: [deliveryOf(9)],
      moreFresh: true,
      nextDueAt: NOW + 70,
    });
    const queue = createWebhookQueue(5);
    await fetch(queue);
    expect(queue.settings?.enabled).toBe(true);
    expect([idsOf(queue.waiting), idsOf(queue.retries)]).toEqual([[1, 2], [9]]);
    expect([queue.hasBacklog, queue.hasDueRetries, queue.nextDueAt]).toEqual([true, false, NOW + 70]);
    expect(requests).toMatchObject([
      { webhookId: 5, fresh: 8, again: 8, dueBy: NOW, triedBefore: Number.POSITIVE_INFINITY },
    ]);
    expect(fetched).toEqual([{ webhookId: 5, nextLook: NOW + 70 }]);
  });

  test.each([
    ["a window that is open", 100, false, 400],
    ["one that is wide open", 256, false, 512],
    ["one that takes hardly any", 1, false, 8],
    ["a message that tells of many", 1, true, 100],
  ])("asks for as much as %s will take", async (_, size, isGrouped, wanted) => {
    const queue = queueOf({ settings: settingsOf({ isGrouped }), hasBacklog: true });
    queue.window.size = size;
    await fetch(queue);
    expect(requests[0]?.fresh).toBe(wanted);
  });

  test("asks for few while memory is full", async () => {
    for (let i = 0; i < 8_000; i += 1) memory.add(1);
    const queue = queueOf();
    queue.window.size = 256;
    await fetch(queue);
    expect(requests[0]?.fresh).toBe(8);
  });

  test("of a webhook that is off claims nothing", async () => {
    load = async () => settingsOf({ enabled: false });
    await fetch(createWebhookQueue(1));
    load = async () => null;
    await fetch(createWebhookQueue(2));
    expect(requests).toEqual([]);
    expect(fetched).toHaveLength(2);
  });

  test("that ends after the webhook was changed gives back what it claimed, and looks again", async () => {
    let release = (_claim: Claim): void => {};
    answer = () => new Promise((resolve) => (release = resolve));
    const queue = queueOf();
    fetcher.fetch(queue, false);
    await Bun.sleep(1);
    queue.generation += 1;
    release({ ...NOTHING, fresh: [deliveryOf(1)], again: [deliveryOf(2)] });
    await Bun.sleep(1);
    expect(released).toEqual([1, 2]);
    expect([queue.waiting.length, queue.hasBacklog, queue.hasDueRetries]).toEqual([0, true, true]);
    // Whoever looked at it meanwhile has left it to this fetch.
    expect(fetched).toEqual([{ webhookId: 1, nextLook: NOW }]);
  });

  test("during which something became due is not the last", async () => {
    const queue = queueOf();
    fetcher.fetch(queue, false);
    queue.missed = "new deliveries";
    await Bun.sleep(1);
    expect(queue.hasBacklog).toBe(true);
  });

  test("that fails is told, and is due again after a while", async () => {
    answer = () => Promise.reject(new Error("disk"));
    const queue = queueOf();
    await fetch(queue);
    expect(faults).toEqual([new Error("disk")]);
    expect(queue.hasBacklog).toBe(true);
    expect(fetched[0]?.nextLook).toBe(NOW + 1_000);
  });

  test("searches with one that is not due, and nothing else", async () => {
    answer = async () => ({ ...NOTHING, again: [deliveryOf(3, { dueAt: NOW + 9_000 })], moreAgain: true });
    const queue = queueOf({ nextDueAt: NOW + 9_000 });
    await fetch(queue, true);
    expect(requests).toMatchObject([{ fresh: 0, again: 1, dueBy: Number.POSITIVE_INFINITY }]);
    expect(idsOf(queue.retries)).toEqual([3]);
    expect(queue.hasDueRetries).toBe(false);
  });

  test("after a receiver's return takes what is not due as well, until there is no more of it", async () => {
    const queue = queueOf({ hastenBefore: 777, hasDueRetries: true });
    answer = async () => ({ ...NOTHING, again: [deliveryOf(3)], moreAgain: true });
    await fetch(queue);
    expect(requests[0]).toMatchObject({ dueBy: Number.POSITIVE_INFINITY, triedBefore: 777 });
    expect(queue.hastenBefore).toBe(777);
    answer = async () => NOTHING;
    await fetch(queue);
    expect([queue.hastenBefore, queue.hasDueRetries]).toEqual([null, true]);
    await fetch(queue);
    expect(requests[2]).toMatchObject({ dueBy: NOW, triedBefore: Number.POSITIVE_INFINITY });
  });
});
