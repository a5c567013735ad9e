import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createDeliveryEngine, type DeliveryEngine } from "../../src/delivery/engine.ts";
import type { AttemptResult, Message, Target } from "../../src/delivery/send.ts";
import type { WebhookSettings } from "../../src/delivery/settings.ts";
import type {
  Claim,
  ClaimedDelivery,
  DeliveryQueue,
  QueueChanges,
  Unfinished,
} from "../../src/store/delivery-queue.ts";
import { deliveryOf, POLICY, resultOf, settingsOf } from "../support/engine.ts";

const NOTHING: Claim = {
  fresh: [],
  again: [],
  moreFresh: false,
  moreAgain: false,
  nextDueAt: Number.POSITIVE_INFINITY,
};

/** What the store was asked to do, in order. */
let asked: string[];
/** What is found by the next claims, one each. */
let claims: Claim[];
/** Claims take until then. */
let claimed: Promise<void>;
let unfinished: () => Promise<Unfinished>;
let changes: QueueChanges;
let settings: WebhookSettings | null;
/** Requests under way: answered when the test says so. */
let sent: { message: Message; answer: (result?: AttemptResult) => void }[];
let tested: Message[];
let disabled: string[];
let faults: string[];
let engine: DeliveryEngine;

beforeEach(() => {
  [asked, claims, sent, tested, disabled, faults] = [[], [], [], [], [], []];
  settings = settingsOf();
  claimed = Promise.resolve();
  unfinished = async () => ({ pending: [], ending: [] });
  const store: DeliveryQueue = {
    claim: async ({ webhookId }) => {
      asked.push(`claim ${webhookId}`);
      await claimed;
      return claims.shift() ?? NOTHING;
    },
    record: async (records) => {
      asked.push(`record ${records.map(({ deliveryId }) => deliveryId)}`);
      return { endings: [], renewed: new Set<number>() };
    },
    release: (deliveries) => {
      if (deliveries.length > 0) asked.push(`release ${deliveries.map(({ id }) => id)}`);
    },
    retry: async (_, deliveryId) => {
      asked.push(`retry ${deliveryId}`);
    },
    recover: async ({ webhookId }) => {
      asked.push(`recover ${webhookId}`);
      return 3;
    },
    endPending: async ({ webhookId }) => {
      asked.push(`end ${webhookId}`);
    },
    ending: async () => null,
    unfinished: async (found) => found(await unfinished()),
    mayBegin: () => true,
    watch: (told) => {
      changes = told;
    },
  };
  engine = createDeliveryEngine({
    deliveries: store,
    load: async () => settings,
    formatId: String,
    clock: { schedule: Date.now, wall: Date.now },
    sender: {
      createTarget: () => ({}) as Target,
      attempt: (_, message, onResult) => {
        sent.push({ message, answer: (result = resultOf()) => onResult(result) });
      },
      send: async (_, message) => {
        tested.push(message);
        return resultOf();
      },
    },
    policy: POLICY,
    concurrency: 8,
    webhookConcurrency: 4,
    requestTimeoutMs: 10_000,
    handshakes: () => 0,
    observer: {
      attempted: () => {},
      disabled: (_, reason) => disabled.push(reason),
      ended: () => {},
      fault: (what, error) => faults.push(`${what}: ${error}`),
    },
  });
});
afterEach(async () => {
  await engine.stop(0);
  expect(faults).toEqual([]);
});

const soon = () => Bun.sleep(10);
const eventsSent = () => sent.map(({ message }) => message.eventId);

/** A webhook whose queue is loaded, with nothing in the store. */
async function loaded(webhookId = 1): Promise<void> {
  engine.start();
  changes.due(webhookId);
  await soon();
  asked.length = 0;
}

function handOver(...deliveries: ClaimedDelivery[]): void {
  for (const { webhookId, body } of deliveries) expect(engine.wants(webhookId, body.length)).toBe(true);
  engine.accept(deliveries);
}

describe("the delivery engine", () => {
  test("takes up what the store holds: what is pending is sent, what was being ended is", async () => {
    unfinished = async () => ({
      pending: [1],
      ending: [{ webhookId: 2, reason: "webhook_deleted", throughId: 9 }],
    });
    claims = [{ ...NOTHING, fresh: [deliveryOf(1)] }];
    engine.start();
    await soon();
    expect(asked).toEqual(["end 2", "claim 1"]);
    expect([eventsSent(), engine.inFlight()]).toEqual([["1"], 1]);
    sent[0]?.answer();
    await soon();
    expect(asked.slice(2)).toEqual(["record 1"]);
    expect(engine.inFlight()).toBe(0);
  });

  test("tries again when what is pending cannot be read, and says so", async () => {
    unfinished = async () => {
      unfinished = async () => ({ pending: [1], ending: [] });
      throw new Error("disk");
    };
    engine.start();
    await soon();
    expect([faults.splice(0), asked]).toEqual([["reading what is pending: Error: disk"], []]);
    await Bun.sleep(1_050);
    expect(asked).toEqual(["claim 1"]);
  });

  test("sends what is handed over without a look at the store", async () => {
    await loaded();
    handOver(deliveryOf(1), deliveryOf(2));
    expect(sent).toEqual([]);
    await soon();
    sent[0]?.answer();
    await soon();
    expect([eventsSent(), asked]).toEqual([["1", "2"], ["record 1"]]);
  });

  test("wants nothing before it has begun, nor of what it has not loaded", async () => {
    expect(engine.wants(1, 2)).toBe(false);
    engine.start();
    expect(engine.wants(1, 2)).toBe(false);
    engine.accept([]);
    await soon();
    expect(engine.wants(1, 2)).toBe(true);
  });

  test("wants nothing while earlier ones are read from the store, nor before it is known that there are more", async () => {
    await loaded();
    const claim = Promise.withResolvers<void>();
    claimed = claim.promise;
    claims = [NOTHING, { ...NOTHING, fresh: [deliveryOf(1)] }];
    changes.due(1);
    // It is stored and left to the next claim, which the end of this one begins some turns later.
    expect(engine.wants(1, 2)).toBe(false);
    claim.resolve();
    while (asked.length < 2) {
      await Promise.resolve();
      expect(engine.wants(1, 2)).toBe(false);
    }
    expect(asked).toEqual(["claim 1", "claim 1"]);
    await soon();
    expect(eventsSent()).toEqual(["1"]);
  });

  test("wants nothing while the store has earlier ones that memory has no room for", async () => {
    await loaded();
    claims = [{ ...NOTHING, fresh: [deliveryOf(1), deliveryOf(2)], moreFresh: true }];
    changes.due(1);
    await soon();
    expect([asked, eventsSent()]).toEqual([["claim 1"], ["1"]]);
    expect(engine.wants(1, 2)).toBe(false);
    claims = [{ ...NOTHING, fresh: [deliveryOf(3)] }];
    sent[0]?.answer();
    await soon();
    expect(eventsSent()).toEqual(["1", "2", "3"]);
    expect(engine.wants(1, 2)).toBe(true);
  });

  test("wants no more than a webhook's place in memory, those that are promised counted", async () => {
    await loaded();
    const wanted = (times: number) => Array.from({ length: times }, () => engine.wants(1, 2));
    expect(wanted(512)).not.toContain(false);
    expect(engine.wants(1, 2)).toBe(false);
    engine.accept(Array.from({ length: 512 }, (_, n) => deliveryOf(n + 1)));
    await soon();
    engine.reload(1);
    await soon();
    expect(wanted(512)).not.toContain(false);
  });

  test("gives back what is handed over once the webhook is off", async () => {
    await loaded();
    expect(engine.wants(1, 2)).toBe(true);
    settings = settingsOf({ enabled: false });
    engine.reload(1);
    await soon();
    engine.accept([deliveryOf(1)]);
    await soon();
    expect([asked, sent]).toEqual([["release 1"], []]);
  });

  test("writes what was attempted before something is sent again by hand", async () => {
    await loaded();
    handOver(deliveryOf(1));
    await soon();
    sent[0]?.answer();
    await engine.retry(1, 7);
    expect(asked).toEqual(["record 1", "retry 7"]);
    handOver(deliveryOf(2));
    await soon();
    sent[1]?.answer();
    expect(await engine.recover({ webhookId: 1, since: 0, until: 1 })).toBe(3);
    expect(asked.slice(2)).toEqual(["record 2", "recover 1"]);
  });

  test("lets go of what other daemons send to now, and takes up what it gains", async () => {
    await loaded();
    handOver(deliveryOf(1), deliveryOf(2));
    await soon();
    expect(eventsSent()).toEqual(["1"]);
    changes.lost((webhookId) => webhookId === 1);
    expect(asked).toEqual(["release 2"]);
    expect(engine.wants(1, 2)).toBe(false);
    unfinished = async () => ({ pending: [5], ending: [] });
    changes.gained();
    await soon();
    expect(asked.slice(1)).toContain("claim 5");
  });

  test("tests a webhook apart from its deliveries, also one that is off; an alert is resolved again", async () => {
    await loaded();
    settings = settingsOf({ enabled: false });
    expect(await engine.sendTest(1, { eventId: "test", body: "{}" })).toMatchObject({ status: 200 });
    settings = settingsOf({ format: "pagerduty" });
    await engine.sendTest(1, { eventId: "alert", body: "{}" });
    settings = null;
    expect(await engine.sendTest(1, { eventId: "gone", body: "{}" })).toBeNull();
    expect(tested.map(({ eventId, resolves = false }) => [eventId, resolves])).toEqual([
      ["test", false],
      ["alert", false],
      ["alert", true],
    ]);
    expect([asked, sent]).toEqual([[], []]);
  });

  test("does not give up a webhook whose receiver has taken a test since the delivery was made", async () => {
    await loaded();
    const failed = resultOf({ status: 500, error: "http_status", meaning: { kind: "failed" } });
    await engine.sendTest(1, { eventId: "test", body: "{}" });
    handOver(deliveryOf(1, { attemptCount: POLICY.attempts - 1 }));
    await soon();
    sent[0]?.answer(failed);
    await soon();
    expect([asked, disabled]).toEqual([["record 1"], []]);
  });

  test("ends when what is in flight is written, and begins nothing more", async () => {
    await loaded();
    handOver(deliveryOf(1), deliveryOf(2));
    await soon();
    const ends: boolean[] = [];
    const stopped = engine.stop(5_000).then((all) => ends.push(all));
    expect(asked).toEqual(["release 2"]);
    expect(engine.wants(1, 2)).toBe(false);
    await soon();
    expect(ends).toEqual([]);
    sent[0]?.answer();
    await stopped;
    expect(ends).toEqual([true]);
    expect([asked, eventsSent()]).toEqual([["release 2", "record 1"], ["1"]]);
  });

  test("ends after a while, whatever hangs, and at once where nothing is in flight", async () => {
    await loaded();
    handOver(deliveryOf(1));
    await soon();
    expect(await engine.stop(20)).toBe(false);
    sent[0]?.answer();
    await soon();
    expect(await engine.stop(5_000)).toBe(true);
  });
});
