import { describe, expect, test } from "bun:test";
import type { AttemptRecord, ClaimedDelivery, Ending } from "../../../src/store/delivery-queue.ts";
import { isStoreFault } from "../../../src/store/faults.ts";
import type { Store } from "../../../src/store/store.ts";
import type { Webhook, WebhookChanges } from "../../../src/store/webhooks.ts";
import { append, attempt, claimAll, finishAll, historyOf, MANY, pendingOf, record } from "./deliveries.ts";
import { addOrganization, addWebhook, eachWithWorld, type Harness } from "./harness.ts";

async function unfinishedIn({ deliveryQueue }: Pick<Store, "deliveryQueue">) {
  const all: { pending: number[]; ending: Ending[] } = { pending: [], ending: [] };
  await deliveryQueue.unfinished(({ pending, ending }) => {
    all.pending.push(...pending);
    all.ending.push(...ending);
  });
  return all;
}

export function deliveryQueueConforms(harness: Harness): void {
  describe("the delivery queue", () => {
    const under = eachWithWorld(harness);

    const prepare = async (events: number) => {
      const organizationId = await addOrganization(under.store);
      const webhook = await addWebhook(under.store, organizationId);
      const input = { organizationId, webhookIds: [webhook.id] };
      await append(under.store, ...Array.from({ length: events }, () => input));
      return { organizationId, webhook, webhookId: webhook.id };
    };
    const pausedUntil = async (webhookId: number) =>
      (await under.store.webhooks.load(webhookId))?.pausedUntil ?? null;

    const NOW = () => ({ dueBy: under.store.clock.schedule(), triedBefore: Number.POSITIVE_INFINITY });

    test("gives no delivery to two, the oldest first, and says when there is more", async () => {
      const { webhookId } = await prepare(5);
      const claim = (fresh: number) =>
        under.store.deliveryQueue.claim({ webhookId, fresh, again: 10, ...NOW() });
      const first = await claim(3);
      const second = await claim(3);
      const all = [...first.fresh, ...second.fresh].map(({ id }) => id);
      expect(all).toHaveLength(5);
      expect(all).toEqual(all.toSorted((a, b) => a - b));
      expect([first.moreFresh, second.moreFresh]).toEqual([true, false]);
      expect((await claim(3)).fresh).toEqual([]);
      under.store.deliveryQueue.release(first.fresh);
      expect((await claim(MANY)).fresh.map(({ id }) => id)).toEqual(all.slice(0, 3));
    });

    test("says that there may be more where none was asked for", async () => {
      const { webhookId } = await prepare(2);
      const claim = await under.store.deliveryQueue.claim({ webhookId, fresh: 0, again: 0, ...NOW() });
      expect(claim).toMatchObject({ fresh: [], again: [], moreFresh: true, nextDueAt: null });
    });

    test("gives what was tried before once it is due, what was due first first", async () => {
      const { webhookId } = await prepare(3);
      const { fresh } = await claimAll(under.store, webhookId);
      const delays = [3_000, 1_000, 600_000];
      const due = delays.map((delay) => under.store.clock.schedule() + delay);
      await record(
        under.store,
        fresh.map((delivery, i) =>
          attempt(under.store, delivery, "pending", { nextAttemptAt: due[i] as number }),
        ),
      );
      const claim = () => under.store.deliveryQueue.claim({ webhookId, fresh: 5, again: 5, ...NOW() });
      const early = await claim();
      expect([early.fresh, early.again]).toEqual([[], []]);
      expect(early.nextDueAt).toBe(due[1] as number);
      under.world.skipTime(5_000);
      const late = await claim();
      expect(late.again.map(({ id, attemptCount }) => [id, attemptCount])).toEqual([
        [fresh[1]?.id as number, 1],
        [fresh[0]?.id as number, 1],
      ]);
      expect(late.nextDueAt).toBe(due[2] as number);
    });

    test("knows until when a receiver has asked to wait, also for whoever takes its webhook over", async () => {
      const { webhookId } = await prepare(3);
      const { fresh } = await claimAll(under.store, webhookId);
      expect(await pausedUntil(webhookId)).toBeNull();
      const now = under.store.clock.schedule();
      const asked = (delivery: ClaimedDelivery | undefined, httpStatus: number) =>
        attempt(under.store, delivery as ClaimedDelivery, "pending", {
          httpStatus,
          nextAttemptAt: now + 90_000,
        });
      // Whatever it said that with: a 503, or Teams in a 200.
      await record(under.store, [asked(fresh[0], 503)], { pausedUntil: now + 30_000 });
      await record(under.store, [asked(fresh[1], 500)]);
      const { overview } = under.store;
      expect(await pausedUntil(webhookId)).toBe(now + 30_000);
      expect(await overview.waitingUntil()).toEqual(new Map([[webhookId, now + 30_000]]));
      under.world.skipTime(31_000);
      expect(await overview.waitingUntil()).toEqual(new Map());
    });

    test("forgets what a receiver has asked for when its webhook gets another one, or is turned on again", async () => {
      const { webhookId, webhook, organizationId } = await prepare(3);
      const { fresh } = await claimAll(under.store, webhookId);
      const paused = async (changes: WebhookChanges) => {
        const said = { url: webhook.url, pausedUntil: under.store.clock.schedule() + 30_000 };
        await record(
          under.store,
          [attempt(under.store, fresh.shift() as ClaimedDelivery, "delivered")],
          said,
        );
        await under.store.webhooks.update(organizationId, webhook.uuid, changes);
        return (await pausedUntil(webhookId)) !== null;
      };
      expect(await paused({ name: "pager", url: webhook.url, enabled: true })).toBe(true);
      expect(await paused({ url: "https://other.example/hook" })).toBe(false);
      await under.store.webhooks.update(organizationId, webhook.uuid, { enabled: false });
      expect(await paused({ enabled: true })).toBe(false);
    });

    test("has what waits to be tried again due at once when its webhook gets another receiver, or is turned on again", async () => {
      const { webhookId, webhook, organizationId } = await prepare(3);
      const { fresh } = await claimAll(under.store, webhookId);
      const later = under.store.clock.schedule() + 3_600_000;
      await record(
        under.store,
        fresh.map((each) => attempt(under.store, each, "pending", { nextAttemptAt: later })),
      );
      const due = async (changes: WebhookChanges) => {
        await under.store.webhooks.update(organizationId, webhook.uuid, changes);
        const { again } = await under.store.deliveryQueue.claim({
          webhookId,
          fresh: 0,
          again: MANY,
          ...NOW(),
        });
        under.store.deliveryQueue.release(again);
        return again.map(({ id }) => id);
      };
      const all = fresh.map(({ id }) => id);
      expect(await due({ name: "pager", url: webhook.url, enabled: true })).toEqual([]);
      expect(await due({ url: "https://other.example/hook" })).toEqual(all);
      const { again } = await under.store.deliveryQueue.claim({ webhookId, fresh: 0, again: MANY, ...NOW() });
      await record(
        under.store,
        again.map((each) => attempt(under.store, each, "pending", { nextAttemptAt: later })),
      );
      await under.store.webhooks.update(organizationId, webhook.uuid, { enabled: false });
      expect(await due({ enabled: true })).toEqual(all);
    });

    test("leaves a webhook alone whose receiver before has asked to wait, or that it be given up", async () => {
      const { webhookId, webhook, organizationId } = await prepare(4);
      const { fresh } = await claimAll(under.store, webhookId);
      const [refused, exhausted, asked, again] = fresh as [
        ClaimedDelivery,
        ClaimedDelivery,
        ClaimedDelivery,
        ClaimedDelivery,
      ];
      await under.store.webhooks.update(organizationId, webhook.uuid, { url: "https://other.example/hook" });
      const now = under.store.clock.schedule();
      const of = (delivery: ClaimedDelivery, more: Partial<AttemptRecord> = {}) =>
        attempt(under.store, delivery, "failed", { httpStatus: 410, ...more });
      const { endings } = await record(
        under.store,
        [
          of(refused, { failsWithWebhook: true }),
          of(exhausted),
          of(asked, { status: "pending", nextAttemptAt: now + 30_000 }),
        ],
        { url: webhook.url, pausedUntil: now + 30_000, disabledReason: "gone" },
      );
      expect(endings).toEqual([]);
      const loaded = await under.store.webhooks.load(webhookId);
      expect(loaded?.webhook).toMatchObject({ enabled: true, disabledReason: null });
      expect(loaded?.pausedUntil).toBeNull();
      expect((await historyOf(under.store, webhookId, "failed")).map(({ id }) => id)).toEqual([exhausted.id]);
      // What was refused by who is there no more is due at once, with all of its attempts.
      const due = await under.store.deliveryQueue.claim({ webhookId, fresh: 9, again: 9, ...NOW() });
      expect(due.again).toMatchObject([{ id: refused.id, attemptCount: 1, budgetFrom: 1 }]);
      const gone = of(again, { failsWithWebhook: true });
      const url = "https://other.example/hook";
      const ended = await record(under.store, [gone], { url, disabledReason: "gone" });
      expect(ended.endings).toMatchObject([{ webhookId, reason: "webhook_disabled" }]);
      expect((await under.store.webhooks.load(webhookId))?.webhook.disabledReason).toBe("gone");
      expect(await historyOf(under.store, webhookId, "failed")).toHaveLength(2);
    });

    test("gives a webhook up of which another delivery was retried by hand meanwhile", async () => {
      const { webhookId, webhook } = await prepare(2);
      const { fresh } = await claimAll(under.store, webhookId);
      const [one, two] = fresh as [ClaimedDelivery, ClaimedDelivery];
      await under.store.deliveryQueue.retry(webhookId, two.id);
      const { endings } = await record(
        under.store,
        [
          attempt(under.store, one, "failed", { failsWithWebhook: true }),
          attempt(under.store, two, "pending"),
        ],
        { url: webhook.url, disabledReason: "gone" },
      );
      expect(endings).toMatchObject([{ webhookId, reason: "webhook_disabled" }]);
      expect((await under.store.webhooks.load(webhookId))?.webhook.enabled).toBe(false);
    });

    test("spares what a receiver before has refused also where the present one asks to wait in the same batch", async () => {
      const { webhookId, webhook, organizationId } = await prepare(2);
      const { fresh } = await claimAll(under.store, webhookId);
      const [one, two] = fresh as [ClaimedDelivery, ClaimedDelivery];
      const url = "https://other.example/hook";
      await under.store.webhooks.update(organizationId, webhook.uuid, { url });
      const until = under.store.clock.schedule() + 5_000;
      await record(
        under.store,
        [
          attempt(under.store, one, "failed", { httpStatus: 410, failsWithWebhook: true }),
          attempt(under.store, two, "pending", { httpStatus: 429, nextAttemptAt: until }),
        ],
        { url, pausedUntil: until },
      );
      expect(await historyOf(under.store, webhookId, "failed")).toEqual([]);
      const due = await under.store.deliveryQueue.claim({ webhookId, fresh: 9, again: 9, ...NOW() });
      expect(due.again.map(({ id }) => id)).toEqual([one.id]);
      expect(await pausedUntil(webhookId)).toBe(until);
    });

    test("gives up a webhook that its owner has switched off meanwhile, and ends what it has", async () => {
      const { webhookId, webhook, organizationId } = await prepare(2);
      const { fresh } = await claimAll(under.store, webhookId);
      await under.store.webhooks.update(organizationId, webhook.uuid, { enabled: false });
      const gone = attempt(under.store, fresh[0] as ClaimedDelivery, "failed", { failsWithWebhook: true });
      const { endings } = await record(under.store, [gone], { disabledReason: "gone" });
      expect(endings).toHaveLength(1);
      expect((await under.store.webhooks.load(webhookId))?.webhook).toMatchObject({
        enabled: false,
        disabledReason: "gone",
      });
      for (const ending of endings) await under.store.deliveryQueue.endPending(ending, () => {});
      expect(await under.store.deliveryQueue.ending(webhookId)).toBeNull();
      expect(await under.store.overview.countPending()).toBe(0);
    });

    test("has one that was retried by hand and put off back, also where its webhook is given up with it", async () => {
      const { webhookId, webhook, organizationId } = await prepare(2);
      const { fresh } = await claimAll(under.store, webhookId);
      const [one, two] = fresh as [ClaimedDelivery, ClaimedDelivery];
      await under.store.deliveryQueue.retry(webhookId, two.id);
      await record(
        under.store,
        [
          attempt(under.store, one, "failed", { httpStatus: 410, failsWithWebhook: true }),
          attempt(under.store, two, "pending", { httpStatus: 429, keepsClaim: true, isCharged: false }),
        ],
        { disabledReason: "gone" },
      );
      await under.store.webhooks.update(organizationId, webhook.uuid, { enabled: true });
      await under.store.deliveryQueue.retry(webhookId, two.id);
      const { again } = await claimAll(under.store, webhookId);
      expect(again.map(({ id }) => id)).toEqual([two.id]);
    });

    test("has one that was retried by hand back when its receiver asks to wait, with a fresh budget", async () => {
      const { webhookId } = await prepare(2);
      const { fresh } = await claimAll(under.store, webhookId);
      const [one, two] = fresh as [ClaimedDelivery, ClaimedDelivery];
      await under.store.deliveryQueue.retry(webhookId, one.id);
      const nextAttemptAt = under.store.clock.schedule() + 30_000;
      const putOff = (delivery: ClaimedDelivery) =>
        attempt(under.store, delivery, "pending", {
          httpStatus: 429,
          nextAttemptAt,
          keepsClaim: true,
          isCharged: false,
        });
      const { renewed } = await record(under.store, [putOff(one), putOff(two)]);
      expect([...renewed]).toEqual([one.id]);
      const due = await under.store.deliveryQueue.claim({ webhookId, fresh: 9, again: 9, ...NOW() });
      expect(due.again).toMatchObject([{ id: one.id, attemptCount: 1, budgetFrom: 1 }]);
      // Once is enough: it is retried no second time for the same wish.
      const again = await record(under.store, due.again.map(putOff));
      expect(again.renewed.size).toBe(0);
    });

    test("writes what became of deliveries and of their webhook, also for a restart", async () => {
      const { webhookId, webhook, organizationId } = await prepare(4);
      const { fresh } = await claimAll(under.store, webhookId);
      const outcomes = ["delivered", "failed", "pending", "pending"] as const;
      await record(
        under.store,
        fresh.slice(0, 1).map((delivery) => attempt(under.store, delivery, "delivered")),
      );
      await record(
        under.store,
        fresh.slice(1).map((delivery, i) => attempt(under.store, delivery, outcomes[i + 1] ?? "pending")),
      );
      const again = await under.world.reopen();
      const all = (await historyOf(again, webhookId)).toReversed();
      expect(all.map(({ status, attemptCount }) => [status, attemptCount])).toEqual(
        outcomes.map((status) => [status, 1]),
      );
      expect(all.map(({ lastStatus, lastError }) => [lastStatus, lastError])).toEqual([
        [200, null],
        [500, "http_status"],
        [500, "http_status"],
        [500, "http_status"],
      ]);
      expect(await again.webhooks.get(organizationId, webhook.uuid)).toMatchObject({
        failureCount: 3,
        lastTriggeredAt: expect.any(Number),
        lastSuccessAt: expect.any(Number),
      });
      expect(await pendingOf(again, webhookId)).toEqual({
        fresh: [],
        again: fresh.slice(2).map(({ id }) => id),
      });
    });

    test("writes nothing when it cannot, and the claims hold until it can", async () => {
      const { webhookId } = await prepare(2);
      const { fresh } = await claimAll(under.store, webhookId);
      const attempts = fresh.map((delivery) => attempt(under.store, delivery, "delivered"));
      under.world.breakWrites();
      expect(await record(under.store, attempts).catch(isStoreFault)).toBe(true);
      under.world.mendWrites();
      expect((await pendingOf(under.store, webhookId)).fresh).toEqual([]);
      await record(under.store, attempts);
      expect((await historyOf(under.store, webhookId, "delivered")).length).toBe(2);
    });

    test("has a claim kept for one that is tried again at once", async () => {
      const { webhookId } = await prepare(1);
      const { fresh } = await claimAll(under.store, webhookId);
      await record(
        under.store,
        fresh.map((delivery) => attempt(under.store, delivery, "pending", { keepsClaim: true })),
      );
      expect(await pendingOf(under.store, webhookId)).toEqual({ fresh: [], again: [] });
      const again = await under.world.reopen();
      expect((await pendingOf(again, webhookId)).again).toEqual(fresh.map(({ id }) => id));
    });

    test("retries one by hand: pending and due now, with a fresh budget, its attempts kept", async () => {
      const { webhookId, organizationId } = await prepare(1);
      await finishAll(under.store, webhookId, "failed");
      const id = (await historyOf(under.store, webhookId))[0]?.id as number;
      const due: number[] = [];
      under.store.deliveryQueue.watch({
        due: (one) => due.push(one),
        changed() {},
        gained() {},
        lost() {},
      });
      await under.store.deliveryQueue.retry(webhookId, id);
      expect(due).toEqual([webhookId]);
      expect(await under.store.history.get(organizationId, id)).toMatchObject({
        status: "pending",
        attemptCount: 1,
        finishedAt: null,
      });
      const { again } = await under.store.deliveryQueue.claim({ webhookId, fresh: 5, again: 5, ...NOW() });
      expect(again).toMatchObject([{ id, attemptCount: 1, budgetFrom: 1 }]);
      expect((await under.store.history.detail(organizationId, id))?.attempts).toHaveLength(1);
    });

    test("has one that was retried by hand amid its attempt due at once when that fails, with a fresh budget", async () => {
      const { webhookId } = await prepare(2);
      const { fresh } = await claimAll(under.store, webhookId);
      for (const { id } of fresh) await under.store.deliveryQueue.retry(webhookId, id);
      const [lost, through] = fresh as [(typeof fresh)[0], (typeof fresh)[0]];
      await record(under.store, [
        attempt(under.store, lost, "failed"),
        attempt(under.store, through, "delivered"),
      ]);
      const { again } = await under.store.deliveryQueue.claim({ webhookId, fresh: 5, again: 5, ...NOW() });
      expect(again).toMatchObject([{ id: lost.id, attemptCount: 1, budgetFrom: 1 }]);
    });

    test("a result that comes late takes nothing back", async () => {
      const { webhookId } = await prepare(2);
      const { fresh } = await claimAll(under.store, webhookId);
      const [one, two] = fresh as [(typeof fresh)[0], (typeof fresh)[0]];
      await record(under.store, [attempt(under.store, one, "delivered")]);
      await under.store.deliveryQueue.endPending(
        { webhookId, reason: "webhook_disabled", throughId: two.id },
        () => {},
      );
      await record(under.store, [attempt(under.store, one, "pending"), attempt(under.store, two, "pending")]);
      const statuses = (await historyOf(under.store, webhookId)).map(({ status }) => status);
      expect(statuses.toSorted()).toEqual(["delivered", "failed"]);
      expect(await under.store.overview.countPending()).toBe(0);
    });

    test("ends what is pending up to an id, and tells how many; what comes later stays", async () => {
      const { webhookId, webhook, organizationId } = await prepare(2_500);
      const throughId = under.store.ids.next();
      await append(under.store, { organizationId, webhookIds: [webhookId] });
      const told: number[] = [];
      await under.store.deliveryQueue.endPending(
        { webhookId, reason: "webhook_disabled", throughId },
        (label, count) => {
          expect(label).toMatchObject({ uuid: webhook.uuid });
          told.push(count);
        },
      );
      expect(told.reduce((sum, count) => sum + count, 0)).toBe(2_500);
      expect((await pendingOf(under.store, webhookId)).fresh).toHaveLength(1);
      const failed = await historyOf(under.store, webhookId, "failed", 500);
      expect(failed).toHaveLength(2_500);
      expect(failed[0]).toMatchObject({ lastError: "webhook_disabled", attemptCount: 0 });
    }, 20_000);

    test("finds after a restart what a removed webhook still has to be ended", async () => {
      const { webhookId, webhook, organizationId } = await prepare(3);
      await under.store.webhooks.remove(organizationId, webhook.uuid);
      const again = await under.world.reopen();
      const { pending, ending } = await unfinishedIn(again);
      expect(pending).toEqual([]);
      expect(ending).toMatchObject([{ webhookId, reason: "webhook_deleted" }]);
      for (const one of ending) await again.deliveryQueue.endPending(one, () => {});
      expect(await again.overview.countPending()).toBe(0);
      expect((await unfinishedIn(again)).ending).toEqual([]);
      expect((await historyOf(again, webhookId))[0]?.lastError).toBe("webhook_deleted");
    });

    test("finds after a restart who has something pending, among thousands, and nobody who is switched off", async () => {
      const organizationId = await addOrganization(under.store);
      const all: Webhook[] = [];
      for (let i = 0; i < 1_100; i += 1) all.push(await addWebhook(under.store, organizationId));
      const [first, second, off, last] = [all[0], all[1], all[2], all.at(-1)] as Webhook[] as [
        Webhook,
        Webhook,
        Webhook,
        Webhook,
      ];
      await append(under.store, { organizationId, webhookIds: [first.id, off.id, last.id] });
      await append(under.store, { organizationId, webhookIds: [second.id] });
      await finishAll(under.store, second.id, "delivered");
      await under.store.webhooks.update(organizationId, off.uuid, { enabled: false });
      const again = await under.world.reopen();
      const { pending, ending } = await unfinishedIn(again);
      expect(pending).toEqual([first.id, last.id]);
      expect(ending).toEqual([]);
    }, 20_000);

    test("recovers what failed and what never had a delivery, of the range and the types, once", async () => {
      const { webhookId, organizationId } = await prepare(3);
      const { clock, deliveryQueue } = under.store;
      const since = clock.wall() - 60_000;
      await finishAll(under.store, webhookId, "delivered");
      await append(under.store, { organizationId, webhookIds: [webhookId] });
      await finishAll(under.store, webhookId, "failed");
      // While it was disabled, of a type that it does not want, and of somebody else.
      await append(under.store, { organizationId, webhookIds: [] });
      await append(under.store, { organizationId, webhookIds: [], type: 0 });
      const other = await addOrganization(under.store, "other");
      await append(under.store, { organizationId: other, webhookIds: [] });
      under.world.skipTime(10_000);
      const until = clock.wall();
      under.world.skipTime(10_000);
      await append(under.store, { organizationId, webhookIds: [] });
      expect(await deliveryQueue.recover({ webhookId, since, until })).toBe(2);
      expect(await deliveryQueue.recover({ webhookId, since, until })).toBe(0);
      expect(await deliveryQueue.recover({ webhookId, since: since - 9, until: since - 1 })).toBe(0);
      const { fresh, again } = await deliveryQueue.claim({ webhookId, fresh: 9, again: 9, ...NOW() });
      expect(fresh.length + again.length).toBe(2);
    });

    test("recovers what was received at both ends of a range, and between", async () => {
      const { webhookId, organizationId } = await prepare(0);
      const at = under.store.clock.wall() - 60_000;
      const received = [0, 1, 2, 3, 4, 5].map((n) => ({
        organizationId,
        webhookIds: [],
        receivedAt: at + n,
      }));
      await append(under.store, ...received);
      const recover = (since: number, until: number) =>
        under.store.deliveryQueue.recover({ webhookId, since: at + since, until: at + until });
      expect(await recover(2, 4)).toBe(3);
      expect(await recover(0, 100)).toBe(3);
    });

    test("recovers more than fits in one step, each once", async () => {
      const { webhookId, organizationId } = await prepare(0);
      const since = under.store.clock.wall();
      const failed = Array(700).fill({ organizationId, webhookIds: [webhookId] });
      await append(under.store, ...failed);
      await finishAll(under.store, webhookId, "failed");
      await append(under.store, ...Array(700).fill({ organizationId, webhookIds: [] }));
      const range = { webhookId, since, until: under.store.clock.wall() };
      expect(await under.store.deliveryQueue.recover(range)).toBe(1_400);
      expect(await under.store.overview.countPending()).toBe(1_400);
      const events = (await historyOf(under.store, webhookId, "pending", MANY)).map(({ eventId }) => eventId);
      expect(new Set(events).size).toBe(1_400);
    }, 20_000);
  });
}
