import { describe, expect, test } from "bun:test";
import { addPacked, newHistogram, quantile } from "../../../src/latency-histogram.ts";
import type { DeliveryStatus } from "../../../src/outcomes.ts";
import { isStoreFault } from "../../../src/store/faults.ts";
import type { StepRange, WebhookStep, WebhookSteps } from "../../../src/store/statistics.ts";
import type { Store } from "../../../src/store/store.ts";
import { until } from "../../support/daemon.ts";
import { append, attempt, claimAll, prune, record } from "./deliveries.ts";
import { addOrganization, addWebhook, eachWithWorld, type Harness, SOON } from "./harness.ts";

const MINUTE = 60_000;
const DAY = 86_400_000;

interface Made {
  /** Wall time at which the attempt ends. */
  at: number;
  status: DeliveryStatus;
  durationMs?: number;
}

/** What a step says of how long attempts took: the shortest, the longest, and how many there were. */
function latenciesOf({ latencies }: WebhookStep) {
  const histogram = newHistogram();
  addPacked(histogram, latencies);
  const total = histogram.reduce((sum, count) => sum + count, 0);
  return { total, shortest: quantile(histogram, 0, total), longest: quantile(histogram, 1, total) };
}

const countsOf = (steps: readonly WebhookStep[]) =>
  steps.map(({ latencies: _, ...counts }) => ({ ...counts }));

export function statisticsConform(harness: Harness): void {
  describe("statistics", () => {
    const under = eachWithWorld(harness);

    const prepare = async () => {
      const organizationId = await addOrganization(under.store);
      const { id, uuid } = await addWebhook(under.store, organizationId);
      // The beginning of a minute, with room for some before and after.
      const start = Math.floor(under.store.clock.wall() / MINUTE) * MINUTE;
      const range: StepRange = {
        ...{ organizationId, webhookUuid: null },
        ...{ from: start - 60 * MINUTE, to: start + 60 * MINUTE, stepMs: MINUTE },
      };
      return { organizationId, webhookId: id, webhookUuid: uuid, start, range };
    };

    /** One delivery and attempt for each. */
    const make = async (organizationId: number, webhookId: number, some: readonly Made[]) => {
      const { store } = under;
      await append(store, ...some.map(() => ({ organizationId, webhookIds: [webhookId] })));
      const { fresh } = await claimAll(store, webhookId);
      const attempts = some.map(({ at, status, durationMs = 5 }, i) =>
        attempt(store, fresh[i] as never, status, { startedAt: at - durationMs, durationMs }),
      );
      await record(store, attempts);
    };

    const read = async (range: StepRange, store: Store = under.store): Promise<WebhookSteps[]> =>
      store.statistics.steps(range);
    const stepsOf = async (range: StepRange): Promise<WebhookStep[]> => (await read(range))[0]?.steps ?? [];

    test("count attempts and what they ended, in the minutes that they ended in; others are left out", async () => {
      const { organizationId, webhookId, webhookUuid, start, range } = await prepare();
      await make(organizationId, webhookId, [
        { at: start - 1, status: "delivered", durationMs: 3 },
        // It began in the minute before.
        { at: start, status: "delivered", durationMs: 40 },
        { at: start + 59_999, status: "failed", durationMs: 7 },
        { at: start + 3 * MINUTE, status: "pending", durationMs: 1_000 },
      ]);
      const [one, ...none] = await read(range);
      expect(none).toEqual([]);
      expect(one?.webhookUuid).toBe(webhookUuid);
      const steps = one?.steps ?? [];
      expect(countsOf(steps)).toEqual([
        { at: start - MINUTE, attempts: 1, delivered: 1, failed: 0 },
        { at: start, attempts: 2, delivered: 1, failed: 1 },
        { at: start + 3 * MINUTE, attempts: 1, delivered: 0, failed: 0 },
      ]);
      expect(latenciesOf(steps[0] as WebhookStep)).toEqual({ total: 1, shortest: 3, longest: 3 });
      const { total, shortest, longest } = latenciesOf(steps[1] as WebhookStep);
      expect([total, shortest]).toEqual([2, 7]);
      expect(longest).toBeWithin(38, 43);
      expect(latenciesOf(steps[2] as WebhookStep).longest).toBeWithin(940, 1_061);
    });

    test("of a range are those from its beginning to before its end, summed up by steps", async () => {
      const { organizationId, webhookId, start, range } = await prepare();
      const hour = Math.floor(start / (60 * MINUTE)) * 60 * MINUTE;
      const minutes = [-1, 0, 4, 5, 9, 10, 11];
      await make(
        organizationId,
        webhookId,
        minutes.map((minute) => ({ at: hour + minute * MINUTE + 7, status: "delivered" })),
      );
      const within = { ...range, from: hour, to: hour + 10 * MINUTE };
      const attempts = (steps: readonly WebhookStep[]) => steps.map((step) => [step.at, step.attempts]);
      expect(attempts(await stepsOf(within))).toEqual(
        [0, 4, 5, 9].map((minute) => [hour + minute * MINUTE, 1]),
      );
      const fives = await stepsOf({ ...within, stepMs: 5 * MINUTE });
      expect(attempts(fives)).toEqual([
        [hour, 2],
        [hour + 5 * MINUTE, 2],
      ]);
      expect(fives.map((step) => latenciesOf(step).total)).toEqual([2, 2]);
      expect(attempts(await stepsOf({ ...within, from: hour + MINUTE, to: hour + 4 * MINUTE }))).toEqual([]);
    });

    test("are those of the organization's webhooks that there are, newest first, or of one of them", async () => {
      const { organizationId, webhookId, webhookUuid, start, range } = await prepare();
      const idle = await addWebhook(under.store, organizationId);
      const other = await addOrganization(under.store, "other");
      const theirs = await addWebhook(under.store, other);
      await make(organizationId, webhookId, [{ at: start, status: "delivered" }]);
      await make(other, theirs.id, [{ at: start, status: "failed" }]);
      const all = await read(range);
      expect(all.map((one) => [one.webhookUuid, one.steps.length])).toEqual([
        [idle.uuid, 0],
        [webhookUuid, 1],
      ]);
      expect(await read({ ...range, webhookUuid: idle.uuid })).toEqual([
        { webhookUuid: idle.uuid, steps: [] },
      ]);
      expect(await read({ ...range, webhookUuid })).toEqual(all.slice(1));
      for (const uuid of [theirs.uuid, crypto.randomUUID()])
        expect(await read({ ...range, webhookUuid: uuid })).toEqual([]);
      expect(countsOf((await read({ ...range, organizationId: other }))[0]?.steps ?? [])).toEqual([
        { at: start, attempts: 1, delivered: 0, failed: 1 },
      ]);
      await under.store.webhooks.remove(organizationId, webhookUuid);
      expect((await read(range)).map((one) => one.webhookUuid)).toEqual([idle.uuid]);
      expect(await read({ ...range, webhookUuid })).toEqual([]);
    });

    test("count what ended without an attempt as failed, and take no time for it", async () => {
      const { organizationId, webhookId, start, range } = await prepare();
      await append(under.store, ...Array(3).fill({ organizationId, webhookIds: [webhookId] }));
      const ending = { webhookId, reason: "webhook_disabled", throughId: Number.MAX_SAFE_INTEGER } as const;
      await under.store.deliveryQueue.endPending(ending, () => {});
      const [step] = await stepsOf(range);
      // A minute may have begun meanwhile.
      expect((step?.at ?? 0) - start).toBeWithin(0, 2 * MINUTE);
      expect(step).toMatchObject({ attempts: 0, delivered: 0, failed: 3 });
      expect(latenciesOf(step as WebhookStep).total).toBe(0);
    });

    test("grow by each batch, over a restart too, and are the same for whoever else looks", async () => {
      const { organizationId, webhookId, start, range } = await prepare();
      for (const durationMs of [4, 9]) {
        await make(organizationId, webhookId, [{ at: start, status: "delivered", durationMs }]);
      }
      await under.world.reopen();
      await make(organizationId, webhookId, [{ at: start, status: "failed", durationMs: 12 }]);
      const [step] = await stepsOf(range);
      expect(step).toMatchObject({ at: start, attempts: 3, delivered: 2, failed: 1 });
      expect(latenciesOf(step as WebhookStep)).toEqual({ total: 3, shortest: 4, longest: 12 });
      expect(await read(range, await under.world.beside())).toEqual(await read(range));
    });

    test("are the sums of what all daemons did", async () => {
      const { organizationId, webhookId, range } = await prepare();
      const second = await under.world.secondDaemon();
      if (!second) return;
      const at = Math.floor(under.store.clock.wall() / MINUTE) * MINUTE;
      await make(organizationId, webhookId, [{ at, status: "delivered" }]);
      await append(under.store, { organizationId, webhookIds: [webhookId] });
      const ending = { webhookId, reason: "webhook_disabled", throughId: Number.MAX_SAFE_INTEGER } as const;
      await second.deliveryQueue.endPending(ending, () => {});
      for (const store of [under.store, second]) {
        const sums = async () => {
          const steps = (await read({ ...range, stepMs: 60 * MINUTE }, store))[0]?.steps ?? [];
          const sum = (name: "attempts" | "delivered" | "failed") =>
            steps.reduce((total, step) => total + step[name], 0);
          return [sum("attempts"), sum("delivered"), sum("failed")].join();
        };
        await until("both are counted", async () => (await sums()) === "1,1,1", 2 * SOON);
      }
    });

    test("go with what is older than is kept", async () => {
      const { organizationId, webhookId, start, range } = await prepare();
      await make(organizationId, webhookId, [{ at: start, status: "delivered" }]);
      under.world.skipTime(40 * DAY);
      const young = start + 40 * DAY;
      await make(organizationId, webhookId, [{ at: young, status: "delivered" }]);
      await prune(under.store, 30 * DAY);
      const steps = await stepsOf({ ...range, to: young + MINUTE });
      expect(steps.map(({ at }) => at)).toEqual([young]);
    });

    test("do not count what could not be written, and are read all the same", async () => {
      const { organizationId, webhookId, start, range } = await prepare();
      await make(organizationId, webhookId, [{ at: start, status: "delivered" }]);
      await append(under.store, { organizationId, webhookIds: [webhookId] });
      const { fresh } = await claimAll(under.store, webhookId);
      const attempts = fresh.map((one) => attempt(under.store, one, "delivered", { startedAt: start }));
      under.world.breakWrites();
      expect(await record(under.store, attempts).catch(isStoreFault)).toBe(true);
      expect(await read(range)).toHaveLength(1);
      under.world.mendWrites();
      await until("it can write again", () => under.store.fault() === null, SOON);
      await record(under.store, attempts);
      expect(await stepsOf(range)).toMatchObject([{ at: start, attempts: 2, delivered: 2, failed: 0 }]);
    });

    test("that cannot be read are the store's fault, until they can", async () => {
      const { organizationId, webhookId, start, range } = await prepare();
      await make(organizationId, webhookId, [{ at: start, status: "delivered" }]);
      const before = await read(range);
      under.world.breakReads();
      expect(await (read(range) as Promise<unknown>).catch(isStoreFault)).toBe(true);
      under.world.mendReads();
      const isBack = async () => Bun.deepEquals(await read(range).catch(() => null), before);
      await until("they can be read again", isBack, SOON);
    });
  });
}
