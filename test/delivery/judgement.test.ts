import { describe, expect, test } from "bun:test";
import { judge, NO_PAUSES, needsPauses, pausesOf, triedOnce } from "../../src/delivery/judgement.ts";
import { spanOf } from "../../src/delivery/retry-policy.ts";
import type { AttemptResult } from "../../src/delivery/send.ts";
import type { Target } from "../../src/delivery/target.ts";
import { attemptOf, deliveryOf, POLICY, queueOf, resultOf, settingsOf } from "../support/engine.ts";

const MOMENT = { now: 1_000_000, monotonic: 1_010, wall: 7_000_000 };
const OPTIONS = { policy: POLICY, maxWindow: 256, isRushed: () => false, span: spanOf(POLICY) };
const failed = resultOf({
  status: 500,
  error: "http_status",
  detail: "why",
  excerpt: "no",
  meaning: { kind: "failed" },
});

describe("what an attempt came to", () => {
  test("a delivery that got through", () => {
    const { records, counts, disables } = judge(attemptOf(queueOf()), resultOf(), NO_PAUSES, MOMENT, OPTIONS);
    expect([counts, disables]).toEqual(["success", null]);
    expect(records).toEqual([
      {
        deliveryId: 1,
        webhookId: 1,
        number: 1,
        startedAt: 5_000,
        durationMs: 7,
        httpStatus: 200,
        error: null,
        detail: null,
        excerpt: null,
        status: "delivered",
        nextAttemptAt: null,
        finishedAt: MOMENT.wall,
        isCharged: true,
        keepsClaim: false,
        failsWithWebhook: false,
      },
    ]);
  });

  test("one that failed is due after the pause for as many attempts as were made", async () => {
    const deliveries = [deliveryOf(1), deliveryOf(2, { attemptCount: 3, budgetFrom: 1 }), deliveryOf(3)];
    const attempt = attemptOf(queueOf(), { deliveries });
    const pauses = await pausesOf(attempt, POLICY);
    expect([...pauses]).toEqual([
      [0, 5_000],
      [2, 80_000],
    ]);
    const { records, failures } = judge(attempt, failed, pauses, MOMENT, OPTIONS);
    expect(records.map(({ number, nextAttemptAt }) => [number, nextAttemptAt])).toEqual([
      [1, MOMENT.now + 5_000],
      [4, MOMENT.now + 80_000],
      [1, MOMENT.now + 5_000],
    ]);
    expect(records[0]).toMatchObject({ status: "pending", detail: "why", excerpt: "no", finishedAt: null });
    // One request failed, whatever it carried.
    expect(failures).toEqual({ before: 0, after: 1 });
  });

  test("of a message about many that is refused for good, each goes alone, and none is lost", () => {
    const queue = queueOf();
    const attempt = attemptOf(queue, { deliveries: [deliveryOf(4), deliveryOf(9)] });
    const refused = resultOf({ status: 400, error: "http_status", meaning: { kind: "dropped" } });
    const { records } = judge(attempt, refused, new Map([[0, 5_000]]), MOMENT, OPTIONS);
    expect(records.map(({ status }) => status)).toEqual(["pending", "pending"]);
    expect(queue.aloneThrough).toBe(9);
    const alone = judge(
      attemptOf(queue, { deliveries: [deliveryOf(4)] }),
      refused,
      NO_PAUSES,
      MOMENT,
      OPTIONS,
    );
    expect(alone.records.map(({ status }) => status)).toEqual(["failed"]);
    expect(alone.disables).toBeNull();
  });

  describe("whose webhook has got another URL meanwhile", () => {
    const moved = () => {
      const queue = queueOf();
      const attempt = attemptOf(queue);
      queue.settings = settingsOf({ target: { url: "https://two.example" } as Target });
      return { queue, attempt };
    };

    test.each<[string, Partial<AttemptResult>]>([
      ["asks to wait", { status: 429, meaning: { kind: "wait", milliseconds: 60_000 } }],
      ["asks to wait with a 503", { status: 503, meaning: { kind: "wait", milliseconds: 60_000 } }],
      ["fails", { status: 500, meaning: { kind: "failed" } }],
      ["does not answer", { status: null, error: "timeout", meaning: { kind: "failed" } }],
      ["refuses the event", { status: 400, meaning: { kind: "dropped" } }],
      ["is gone", { status: 410, meaning: { kind: "disable", reason: "gone" } }],
    ])("says nothing of the present receiver when it %s, and the delivery goes there", (_, answer) => {
      const { queue, attempt } = moved();
      const before = structuredClone({ ...queue, settings: null });
      const result = resultOf({ error: "http_status", ...answer });
      // As its seventh failure would have it wait.
      const pauses = new Map(attempt.deliveries.map(({ attemptCount }) => [attemptCount, 20_480_000]));
      const judgement = judge(attempt, result, pauses, MOMENT, OPTIONS);
      expect(judgement).toMatchObject({ counts: "neither", disables: null, pausedUntil: null });
      expect(judgement.records).toMatchObject([{ status: "pending", nextAttemptAt: MOMENT.now }]);
      expect(structuredClone({ ...queue, settings: null, refusedSince: new Map() })).toEqual(before);
    });

    test("and the last of its attempts fails the delivery, not the webhook", () => {
      const { attempt } = moved();
      const deliveries = [deliveryOf(1, { attemptCount: 11 })];
      const { records, disables } = judge({ ...attempt, deliveries }, failed, NO_PAUSES, MOMENT, OPTIONS);
      expect([records[0]?.status, disables]).toEqual(["failed", null]);
    });

    test("counts as a success when it took the event", () => {
      const { queue, attempt } = moved();
      expect(judge(attempt, resultOf(), NO_PAUSES, MOMENT, OPTIONS).counts).toBe("success");
      expect(queue.isProven).toBe(false);
    });
  });

  test("what is put off stays in front until the time that was asked for, and uses up no attempt", () => {
    const queue = queueOf();
    const asked = resultOf({
      status: 429,
      error: "http_status",
      meaning: { kind: "wait", milliseconds: 2_000 },
    });
    const { records, outcomes, counts } = judge(attemptOf(queue), asked, NO_PAUSES, MOMENT, OPTIONS);
    expect(records).toMatchObject([
      { status: "pending", nextAttemptAt: MOMENT.now + 2_000, isCharged: false, keepsClaim: true },
    ]);
    expect(counts).toBe("neither");
    const again = triedOnce(deliveryOf(1), outcomes[0] as (typeof outcomes)[0]);
    expect([again.attemptCount, again.budgetFrom]).toEqual([1, 1]);
    expect(queue.refusedSince.get(1)).toBe(MOMENT.now);
    judge(attemptOf(queue), resultOf(), NO_PAUSES, MOMENT, OPTIONS);
    expect(queue.refusedSince.size).toBe(0);
  });

  test("a 503 that asks for a second each time uses up no more attempts than any other failure", async () => {
    const queue = queueOf();
    const asked = resultOf({
      status: 503,
      error: "http_status",
      meaning: { kind: "wait", milliseconds: 1_000 },
    });
    let delivery = deliveryOf(1);
    const charged: number[] = [];
    for (let second = 0; second < 30; second += 1) {
      const now = MOMENT.now + second * 1_000;
      const attempt = attemptOf(queue, { deliveries: [delivery], isEarly: delivery.dueAt > now });
      const moment = { ...MOMENT, now, monotonic: MOMENT.monotonic + second * 1_000 };
      const { outcomes } = judge(attempt, asked, await pausesOf(attempt, POLICY), moment, OPTIONS);
      const [outcome] = outcomes;
      if (!outcome?.staysInFront) throw new Error(`ended after ${second} s`);
      expect(outcome.nextAttemptAt).toBe(now + 1_000);
      if (outcome.isCharged) charged.push(second);
      delivery = triedOnce(delivery, outcome);
    }
    expect(charged).toEqual([0, 5, 25]);
    expect([delivery.attemptCount, delivery.attemptCount - delivery.budgetFrom]).toEqual([30, 3]);
    expect(queue.failureCount).toBe(30);
  });

  test("the last attempt of one with which nothing got through gives the webhook up", () => {
    const deliveries = [deliveryOf(1, { attemptCount: 11 })];
    const { disables } = judge(
      attemptOf(queueOf(), { deliveries }),
      failed,
      new Map([[11, 1]]),
      MOMENT,
      OPTIONS,
    );
    expect(disables).toBe("attempts_exhausted");
  });

  test.each<[string, number, boolean]>([
    ["delivered", 200, false],
    ["wait", 429, false],
    ["wait", 503, true],
    ["disable", 410, false],
    ["failed", 500, true],
    ["refused", 422, true],
    ["dropped", 400, true],
  ])("a pause is asked for only where a retry of its own may follow: %s (%d): %p", (kind, status, needed) => {
    expect(needsPauses(resultOf({ status, meaning: { kind } as never }))).toBe(needed);
  });

  describe("since when a delivery has been answered with 429 alone", () => {
    const asked = resultOf({
      status: 429,
      error: "http_status",
      meaning: { kind: "wait", milliseconds: 1_000 },
    });

    test("is forgotten once it has failed for that, so that a retry by hand has a fresh budget", () => {
      const queue = queueOf({ lastSuccessAt: Number.MAX_SAFE_INTEGER });
      let delivery = deliveryOf(1);
      let now = MOMENT.now;
      const isCharged = () => {
        const { records, outcomes } = judge(
          attemptOf(queue, { deliveries: [delivery] }),
          asked,
          NO_PAUSES,
          { ...MOMENT, now },
          OPTIONS,
        );
        delivery = triedOnce(delivery, outcomes[0] as (typeof outcomes)[number]);
        return [records[0]?.isCharged, records[0]?.status];
      };
      expect(isCharged()).toEqual([false, "pending"]);
      now += OPTIONS.span + 1;
      for (let i = 1; i < POLICY.attempts; i += 1) expect(isCharged()).toEqual([true, "pending"]);
      expect(queue.refusedSince.size).toBe(1);
      expect(isCharged()).toEqual([true, "failed"]);
      expect(queue.refusedSince.size).toBe(0);
      delivery = deliveryOf(1, { attemptCount: 13, budgetFrom: 13 });
      expect(isCharged()).toEqual([false, "pending"]);
    });
  });
});
