import { describe, expect, test } from "bun:test";
import { isStoreFault } from "../../../src/store/faults.ts";
import { append, BODY, claimAll, newEvent, pendingOf, prune } from "./deliveries.ts";
import { addOrganization, addWebhook, eachWithWorld, type Harness } from "./harness.ts";

const DAY = 86_400_000;

export function eventLogConforms(harness: Harness): void {
  describe("the event log", () => {
    const under = eachWithWorld(harness);

    const prepare = async () => {
      const organizationId = await addOrganization(under.store);
      const first = (await addWebhook(under.store, organizationId)).id;
      const second = (await addWebhook(under.store, organizationId)).id;
      return { organizationId, first, second };
    };

    test("gives each event a delivery for each of its webhooks, and none besides, in the order of the batch", async () => {
      const { organizationId, first, second } = await prepare();
      const lists = [[first, second], [first], [], [second], [second, first], [first, second]];
      const inputs = lists.map((webhookIds, i) => ({ organizationId, webhookIds, body: `{"n":${i}}` }));
      const events = await append(under.store, ...inputs);
      expect(events.map(({ deliveries }) => deliveries)).toEqual([2, 1, 0, 1, 2, 2]);
      const ids = events.map(({ eventId }) => eventId);
      expect(ids).toEqual(ids.toSorted((a, b) => a - b));
      for (const webhookId of [first, second]) {
        const { fresh, again } = await claimAll(under.store, webhookId);
        const wanted = events.filter(({ event }) => event.webhookIds.includes(webhookId));
        expect(fresh.map(({ eventId, body }) => [eventId, body])).toEqual(
          wanted.map(({ eventId, event }) => [eventId, event.body]),
        );
        expect(again).toEqual([]);
      }
    });

    test("hands the new deliveries to the caller that wants them, and to nobody else until they are released", async () => {
      const { organizationId, first, second } = await prepare();
      const batch = [1, 2].map(() => newEvent(under.store, { organizationId, webhookIds: [first, second] }));
      const asked: [number, number][] = [];
      const { claimed } = await under.store.eventLog.append(batch, (webhookId, length) => {
        asked.push([webhookId, length]);
        return webhookId === first;
      });
      expect(asked).toHaveLength(4);
      expect(asked.every(([, length]) => length === BODY.length)).toBe(true);
      expect(
        claimed.map(({ webhookId, body, attemptCount, budgetFrom }) => ({
          webhookId,
          body,
          attemptCount,
          budgetFrom,
        })),
      ).toEqual([1, 2].map(() => ({ webhookId: first, body: BODY, attemptCount: 0, budgetFrom: 0 })));
      expect((await pendingOf(under.store, first)).fresh).toEqual([]);
      expect((await pendingOf(under.store, second)).fresh).toHaveLength(2);
      under.store.deliveryQueue.release(claimed);
      expect((await pendingOf(under.store, first)).fresh).toEqual(claimed.map(({ id }) => id));
    });

    test("has what it was given after a restart, and gives it to whoever claims it then", async () => {
      const { organizationId, first } = await prepare();
      const { eventLog } = under.store;
      const batch = [newEvent(under.store, { organizationId, webhookIds: [first] })];
      const { claimed } = await eventLog.append(batch, () => true);
      await new Promise<void>((resolve, reject) => {
        eventLog.whenDurable((error) => (error ? reject(error) : resolve()));
      });
      const again = await under.world.reopen();
      expect((await pendingOf(again, first)).fresh).toEqual(claimed.map(({ id }) => id));
    });

    test("calls back in order once what was stored is on disk", async () => {
      const { organizationId } = await prepare();
      const { eventLog } = under.store;
      const order: number[] = [];
      const waits: Promise<void>[] = [];
      for (let n = 0; n < 5; n += 1) {
        await append(under.store, { organizationId, webhookIds: [] });
        const { promise, resolve } = Promise.withResolvers<void>();
        waits.push(promise);
        eventLog.whenDurable((error) => {
          expect(error).toBeNull();
          order.push(n);
          resolve();
        });
      }
      eventLog.makeDurable();
      await Promise.all(waits);
      expect(order).toEqual([0, 1, 2, 3, 4]);
    });

    test("knows a scanner's repeats: in a batch, over batches and restarts, by organization", async () => {
      const { organizationId, first } = await prepare();
      const other = await addOrganization(under.store, "other");
      const event = (externalId: string, own = organizationId) => ({
        organizationId: own,
        externalId,
        webhookIds: [first],
      });
      const [one, repeated, two] = await append(under.store, event("a"), event("a"), event("b"));
      expect(repeated).toMatchObject({ duplicate: true, eventId: one?.eventId as number, deliveries: 0 });
      expect(two?.duplicate).toBe(false);
      const again = await under.world.reopen();
      const [old, theirs, cased] = await append(again, event("a"), event("a", other), event("A"));
      expect(old).toMatchObject({ duplicate: true, eventId: one?.eventId as number });
      expect([theirs?.duplicate, cased?.duplicate]).toEqual([false, false]);
      expect((await pendingOf(again, first)).fresh).toHaveLength(4);
    });

    test("knows the repeats of many, and takes none for one that it is not", async () => {
      const { organizationId } = await prepare();
      const ids = Array.from({ length: 3_000 }, (_, i) => `scan-${i}`);
      const inputs = ids.map((externalId) => ({ organizationId, externalId, webhookIds: [] }));
      const stored: number[] = [];
      for (let at = 0; at < inputs.length; at += 500) {
        const events = await append(under.store, ...inputs.slice(at, at + 500));
        expect(events.some(({ duplicate }) => duplicate)).toBe(false);
        stored.push(...events.map(({ eventId }) => eventId));
      }
      const again = await append(await under.world.reopen(), ...inputs.slice(1_000, 2_000));
      expect(again.map(({ eventId }) => eventId)).toEqual(stored.slice(1_000, 2_000));
      expect(again.every(({ duplicate }) => duplicate)).toBe(true);
    }, 20_000);

    test("forgets an external id with its event, and not before", async () => {
      const { organizationId } = await prepare();
      const event = { organizationId, externalId: "a", webhookIds: [] };
      await append(under.store, event);
      under.world.skipTime(10 * DAY);
      expect(await prune(under.store, 30 * DAY)).toMatchObject({ events: 0 });
      expect((await append(under.store, event))[0]?.duplicate).toBe(true);
      under.world.skipTime(30 * DAY);
      expect(await prune(under.store, 30 * DAY)).toMatchObject({ events: 1 });
      expect((await append(under.store, event))[0]?.duplicate).toBe(false);
      expect((await append(under.store, event))[0]?.duplicate).toBe(true);
    });

    test("stores nothing of a batch that it cannot store, and takes the same ids again", async () => {
      const { organizationId, first } = await prepare();
      const event = { organizationId, externalId: "a", webhookIds: [first] };
      under.world.breakWrites();
      expect(await append(under.store, event, { ...event, externalId: "b" }).catch(isStoreFault)).toBe(true);
      under.world.mendWrites();
      expect((await pendingOf(under.store, first)).fresh).toEqual([]);
      expect((await append(under.store, event))[0]?.duplicate).toBe(false);
      expect((await pendingOf(under.store, first)).fresh).toHaveLength(1);
    });
  });
}
