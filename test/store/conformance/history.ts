import { describe, expect, test } from "bun:test";
import { append, attempt, BODY, claimAll, finishAll, historyOf, prune, record } from "./deliveries.ts";
import { addOrganization, addWebhook, eachWithWorld, type Harness } from "./harness.ts";

const DAY = 86_400_000;

export function historyConforms(harness: Harness): void {
  describe("history and retention", () => {
    const under = eachWithWorld(harness);

    const prepare = async () => {
      const organizationId = await addOrganization(under.store);
      const webhook = await addWebhook(under.store, organizationId);
      return { organizationId, webhook, webhookId: webhook.id };
    };

    test("list newest first, by status or all, each once whatever the page size", async () => {
      const { organizationId, webhookId } = await prepare();
      const event = { organizationId, webhookIds: [webhookId] };
      for (const status of ["delivered", "failed", "delivered", "pending"] as const) {
        await append(under.store, ...Array(5).fill(event));
        if (status === "pending") continue;
        const { fresh } = await claimAll(under.store, webhookId);
        await record(
          under.store,
          fresh.map((delivery) => attempt(under.store, delivery, status)),
        );
      }
      const all = await historyOf(under.store, webhookId);
      expect(all).toHaveLength(20);
      expect(all.map(({ id }) => id)).toEqual(all.map(({ id }) => id).toSorted((a, b) => b - a));
      for (const limit of [1, 3, 20, 21])
        expect(await historyOf(under.store, webhookId, null, limit)).toEqual(all);
      for (const status of ["pending", "delivered", "failed"] as const) {
        expect(await historyOf(under.store, webhookId, status, 2)).toEqual(
          all.filter((delivery) => delivery.status === status),
        );
      }
    });

    test("pages stay as they are while deliveries are added", async () => {
      const { organizationId, webhookId } = await prepare();
      const event = { organizationId, webhookIds: [webhookId] };
      await append(under.store, ...Array(9).fill(event));
      const options = { webhookId, status: null, limit: 4 };
      const first = await under.store.history.list({ ...options, beforeId: null });
      await append(under.store, event, event);
      const second = await under.store.history.list({ ...options, beforeId: first.nextBeforeId });
      const ids = [...first.deliveries, ...second.deliveries].map(({ id }) => id);
      expect(new Set(ids).size).toBe(8);
      expect(ids).toEqual((await historyOf(under.store, webhookId)).slice(2, 10).map(({ id }) => id));
    });

    test("show every attempt with its answer, and nothing to another organization", async () => {
      const { organizationId, webhook, webhookId } = await prepare();
      const other = await addOrganization(under.store, "other");
      await append(under.store, { organizationId, webhookIds: [webhookId] });
      await finishAll(under.store, webhookId, "pending");
      await finishAll(under.store, webhookId, "delivered");
      const id = (await historyOf(under.store, webhookId))[0]?.id as number;
      const detail = await under.store.history.detail(organizationId, id);
      expect(detail?.payload).toBe(BODY);
      expect(detail?.delivery).toMatchObject({
        id,
        webhookId,
        webhookUuid: webhook.uuid,
        eventType: "red_tier",
        status: "delivered",
        attemptCount: 2,
        nextAttemptAt: null,
      });
      expect(detail?.attempts).toMatchObject([
        { number: 1, status: 500, error: "http_status", durationMs: 5, responseExcerpt: "no" },
        { number: 2, status: 200, error: null, durationMs: 5, responseExcerpt: "ok" },
      ]);
      expect(await under.store.history.get(other, id)).toBeNull();
      expect(await under.store.history.detail(other, id)).toBeNull();
      expect(await under.store.history.get(organizationId, id + 1)).toBeNull();
    });

    test("sum up what is pending, since when, and what attempts came to", async () => {
      const { organizationId, webhookId } = await prepare();
      const second = (await addWebhook(under.store, organizationId)).id;
      const { overview, clock } = under.store;
      expect([await overview.countPending(), await overview.oldestPending()]).toEqual([0, null]);
      const began = clock.schedule();
      await append(under.store, ...Array(3).fill({ organizationId, webhookIds: [webhookId, second] }));
      under.world.skipTime(60_000);
      await append(under.store, { organizationId, webhookIds: [second] });
      expect(await overview.countPending()).toBe(7);
      expect(await overview.pendingByWebhook()).toEqual(
        new Map([
          [webhookId, 3],
          [second, 4],
        ]),
      );
      expect(((await overview.oldestPending()) ?? 0) - began).toBeWithin(0, 5_000);
      await finishAll(under.store, second, "pending");
      await finishAll(under.store, webhookId, "delivered");
      expect(await overview.countPending()).toBe(4);
      const since = clock.wall() - 3_600_000;
      expect(await overview.attemptsSince(since, clock.schedule() - DAY)).toEqual(
        new Map<null | "http_status", number>([
          [null, 3],
          ["http_status", 4],
        ]),
      );
      const beside = await under.world.beside();
      expect(await beside.overview.pendingByWebhook()).toEqual(new Map([[second, 4]]));
    });

    test("what finished long ago is pruned with its attempts and events, and nothing else", async () => {
      const { organizationId, webhookId } = await prepare();
      const event = { organizationId, webhookIds: [webhookId] };
      await append(under.store, ...Array(4).fill(event));
      await finishAll(under.store, webhookId, "pending");
      await finishAll(under.store, webhookId, "failed");
      await append(under.store, event);
      under.world.skipTime(40 * DAY);
      await append(under.store, event, event);
      const young = await historyOf(under.store, webhookId);
      const { fresh } = await claimAll(under.store, webhookId);
      await record(
        under.store,
        fresh.slice(1).map((delivery) => attempt(under.store, delivery, "delivered")),
      );
      under.store.deliveryQueue.release(fresh.slice(0, 1));
      expect(await prune(under.store, 30 * DAY)).toEqual({ deliveries: 4, attempts: 8, events: 4 });
      // One that is pending, however old; two that came lately.
      const left = await historyOf(under.store, webhookId);
      expect(left.map(({ id }) => id)).toEqual(young.slice(0, 3).map(({ id }) => id));
      expect(await prune(under.store, 30 * DAY)).toEqual({ deliveries: 0, attempts: 0, events: 0 });
    });

    test("an old delivery that finished only lately stays", async () => {
      const { organizationId, webhookId } = await prepare();
      await append(under.store, ...Array(2).fill({ organizationId, webhookIds: [webhookId] }));
      await finishAll(under.store, webhookId, "failed");
      const id = (await historyOf(under.store, webhookId))[0]?.id as number;
      under.world.skipTime(40 * DAY);
      await under.store.deliveryQueue.retry(webhookId, id);
      await finishAll(under.store, webhookId, "delivered");
      expect(await prune(under.store, 30 * DAY)).toMatchObject({ deliveries: 1, events: 1 });
      expect((await historyOf(under.store, webhookId)).map((delivery) => delivery.id)).toEqual([id]);
    });

    test("a round that cannot write removes nothing, and the next one finds it all", async () => {
      const { organizationId, webhookId } = await prepare();
      await append(under.store, ...Array(3).fill({ organizationId, webhookIds: [webhookId] }));
      await finishAll(under.store, webhookId, "delivered");
      under.world.skipTime(40 * DAY);
      under.world.breakWrites();
      await expect(prune(under.store, 30 * DAY)).rejects.toThrow();
      under.world.mendWrites();
      expect(await historyOf(under.store, webhookId)).toHaveLength(3);
      expect(await prune(under.store, 30 * DAY)).toMatchObject({ deliveries: 3, events: 3 });
    });
  });
}
