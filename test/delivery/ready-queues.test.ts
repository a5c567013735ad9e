import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createReadyQueues, type Verdict } from "../../src/delivery/ready-queues.ts";
import { createSlots } from "../../src/delivery/slots.ts";
import {
  createWebhookQueue,
  type Trust,
  trustOf,
  type WebhookQueue,
} from "../../src/delivery/webhook-queue.ts";
import { settingsOf } from "../support/engine.ts";

type Admission = Parameters<typeof createReadyQueues>[0];
const OPEN: Admission = { open: () => true, hasRoomFor: () => true, newestFirst: () => false };

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
function turns(queues: WebhookQueue[], count: number, slots: Admission = OPEN) {
  const ready = createReadyQueues(slots);
  for (const each of queues) ready.add(each);
  return Array.from({ length: count }, () => {
    const taken = ready.next(() => "take");
    if (taken) taken.inFlight += 1;
    return taken?.webhookId ?? null;
  });
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
    expect(turns(many("untried", 5), 1, { ...OPEN, newestFirst: () => true })).toEqual([5]);
  });

  test("when all are to stop, the one that was looked at keeps its place", () => {
    const ready = createReadyQueues(OPEN);
    for (const each of many("proven", 3)) ready.add(each);
    const looked: number[] = [];
    const stop = ({ webhookId }: WebhookQueue): Verdict => {
      looked.push(webhookId);
      return "stop";
    };
    expect(ready.next(stop)).toBeNull();
    expect(looked).toEqual([1]);
    expect(ready.next(() => "take")?.webhookId).toBe(1);
  });

  test("those without slots are passed over, and stay", () => {
    const slots: Admission = { ...OPEN, open: (trust) => trust !== "failing" };
    expect(turns([...many("failing", 3), ...many("proven", 1, 9)], 3, slots)).toEqual([9, 9, 9]);
  });

  test("those that were put aside wait for the next of the last slots once their organization has room again", () => {
    let hasRoom = false;
    let isOpen = true;
    const slots: Admission = { ...OPEN, open: () => isOpen, hasRoomFor: () => hasRoom };
    const ready = createReadyQueues(slots);
    for (const each of many("proven", 2)) {
      each.settings = settingsOf();
      ready.add(each);
    }
    expect(ready.next(() => "take")).toBeNull();
    isOpen = false;
    expect(ready.hasIdle).toBe(false);
    hasRoom = true;
    expect([ready.next(() => "take"), ready.hasIdle]).toEqual([null, true]);
    isOpen = true;
    expect(ready.next(() => "take")?.webhookId).toBe(1);
  });

  test("what is dropped comes back only when it is added", () => {
    const [a, b] = many("proven", 2) as [WebhookQueue, WebhookQueue];
    const ready = createReadyQueues(OPEN);
    ready.add(a);
    ready.add(b);
    expect(ready.next((each) => (each === a ? "drop" : "take"))).toBe(b);
    expect(ready.next(() => "drop")).toBeNull();
    expect(ready.next(() => "take")).toBeNull();
    ready.add(a);
    expect(ready.next(() => "take")).toBe(a);
    ready.remove(a);
    expect(ready.next(() => "take")).toBeNull();
  });

  test("one whose trust changed waits in its new line, whether it was added again or not", () => {
    let areTried = true;
    const ready = createReadyQueues({ ...OPEN, open: (trust) => (trust === "proven") === areTried });
    const [one, two] = many("untried", 2) as [WebhookQueue, WebhookQueue];
    ready.add(one);
    ready.add(two);
    expect(ready.next(() => "take")).toBeNull();
    one.isProven = true;
    ready.add(one);
    two.isProven = true;
    expect(ready.next(() => "take")).toBe(one);
    areTried = false;
    expect(ready.next(() => "take")).toBeNull();
    areTried = true;
    ready.remove(one);
    expect(ready.next(() => "take")).toBe(two);
  });

  test("one without a request in flight is found at once behind any number with some, while only it can have a slot", () => {
    let looks = 0;
    const ready = createReadyQueues({ ...OPEN, open: (_, isBusy) => !isBusy });
    for (const each of many("proven", 100_000)) {
      each.inFlight = 1;
      ready.add(each);
    }
    const idle = queue(1_000_000, "proven");
    expect(ready.hasIdle).toBe(false);
    ready.add(idle);
    expect(ready.hasIdle).toBe(true);
    const test = (): Verdict => {
      looks += 1;
      return "take";
    };
    expect(ready.next(test)).toBe(idle);
    expect(looks).toBe(1);
    idle.inFlight = 1;
    expect(ready.next(test)).toBeNull();
    expect(looks).toBe(1);
  });

  test("what an organization cannot send now is passed over once, and comes back in its order", () => {
    let isFull = true;
    let asked = 0;
    const hasRoomFor = (organizationId: number) => {
      asked += 1;
      return organizationId !== 1 || !isFull;
    };
    const ready = createReadyQueues({ ...OPEN, hasRoomFor, newestFirst: () => isFull });
    const full = many("proven", 10_000);
    for (const each of full) ready.add(Object.assign(each, { settings: settingsOf() }));
    expect(ready.next(() => "take")).toBeNull();
    asked = 0;
    const other = Object.assign(queue(20_000, "proven"), { settings: settingsOf({ organizationId: 2 }) });
    ready.add(other);
    expect(ready.next(() => "take")).toBe(other);
    expect(asked).toBeLessThan(8);
    isFull = false;
    ready.remove(other);
    const back = Array.from({ length: 10_000 }, () => {
      const taken = ready.next(() => "take");
      if (taken) ready.remove(taken);
      return taken?.webhookId;
    });
    expect(back).toEqual(full.map(({ webhookId }) => webhookId));
  });

  test("of those that were put aside the next is called back when those before have nothing more to send", () => {
    let isFull = true;
    const ready = createReadyQueues({ ...OPEN, hasRoomFor: () => !isFull });
    const all = many("proven", 5);
    for (const each of all) ready.add(Object.assign(each, { settings: settingsOf() }));
    expect(ready.next(() => "take")).toBeNull();
    isFull = false;
    expect(ready.next(({ webhookId }) => (webhookId < 5 ? "drop" : "take"))?.webhookId).toBe(5);
  });

  test("one is taken whenever there is one that may be, whatever happened before, in whatever order", () => {
    const steps = fc.array(fc.tuple(fc.constantFrom(...STEPS), fc.nat(WEBHOOKS - 1)), {
      minLength: 100,
      maxLength: 400,
    });
    fc.assert(fc.property(steps, fc.constantFrom(8, 16, 24), follow), { numRuns: 400 });
  });
});

/** Few, so that lines run empty as often as slots run short. */
const WEBHOOKS = 7;
const STEPS = [
  "add",
  "add",
  "add",
  "take",
  "take",
  "take",
  "take",
  "end",
  "remove",
  "trust",
  "empty",
  "wait",
] as const;

/** Does the same to the lines and to a plain set of those that stand in them, and compares. */
function follow(steps: [(typeof STEPS)[number], number][], total: number): void {
  let now = 0;
  const slots = createSlots({ total, timeoutMs: 1_000, now: () => now });
  const ready = createReadyQueues(slots);
  const standing = new Set<WebhookQueue>();
  const empty = new Set<WebhookQueue>();
  const underWay: { queue: WebhookQueue; trust: Trust }[] = [];
  const organizationOf = ({ settings }: WebhookQueue) => settings?.organizationId ?? 0;
  const all = many("proven", WEBHOOKS).map((each, i) =>
    Object.assign(each, { settings: settingsOf({ organizationId: i % 2 }) }),
  );
  const add = (each: WebhookQueue): void => {
    standing.add(each);
    ready.add(each);
  };
  const mayBeTaken = (each: WebhookQueue): boolean =>
    !empty.has(each) &&
    slots.open(trustOf(each), each.inFlight > 0) &&
    slots.hasRoomFor(organizationOf(each));
  for (const [step, at] of steps) {
    const each = all[at] as WebhookQueue;
    if (step === "add") add(each);
    else if (step === "wait") now += 40;
    else if (step === "empty") {
      if (!empty.delete(each)) empty.add(each);
    } else if (step === "remove") {
      standing.delete(each);
      ready.remove(each);
    } else if (step === "trust") {
      if (at % 2 === 0) each.isProven = !each.isProven;
      else each.breaker.isOpen = !each.breaker.isOpen;
      if (standing.has(each)) add(each);
    } else if (step === "end") {
      const ended = underWay.splice(at % Math.max(1, underWay.length), 1)[0];
      if (!ended) continue;
      slots.release(ended.trust, organizationOf(ended.queue));
      ended.queue.inFlight -= 1;
      add(ended.queue);
    } else {
      const candidates = [...standing].filter(mayBeTaken);
      const taken = ready.next((looked) => {
        expect(standing.has(looked)).toBe(true);
        if (!empty.has(looked)) return "take";
        standing.delete(looked);
        return "drop";
      });
      if (!taken) {
        expect(candidates).toEqual([]);
        continue;
      }
      expect(candidates).toContain(taken);
      const trust = trustOf(taken);
      slots.take(trust, organizationOf(taken));
      taken.inFlight += 1;
      underWay.push({ queue: taken, trust });
    }
  }
}
