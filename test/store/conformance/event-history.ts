import { describe, expect, test } from "bun:test";
import type { EventOptions, StoredEvent } from "../../../src/store/event-history.ts";
import { isStoreFault } from "../../../src/store/faults.ts";
import type { Store } from "../../../src/store/store.ts";
import { until } from "../../support/daemon.ts";
import { append, BODY, type EventInput, finishAll, MANY, prune } from "./deliveries.ts";
import { addOrganization, addWebhook, eachWithWorld, type Harness, SOON } from "./harness.ts";

const DAY = 86_400_000;
const [GREEN, YELLOW, RED] = [0, 1, 2];

/** Every event of an organization, newest first, read in pages. */
async function eventsOf(
  store: Store,
  organizationId: number,
  { limit = 4, ...only }: Partial<EventOptions> = {},
): Promise<StoredEvent[]> {
  const all: StoredEvent[] = [];
  for (let beforeId: number | null = null; ; ) {
    const page = await store.eventHistory.list({
      ...{ organizationId, type: null, externalId: null, ...only },
      ...{ beforeId, limit },
    });
    expect(page.events.length).toBeLessThanOrEqual(limit);
    all.push(...page.events);
    if (page.nextBeforeId === null) return all;
    expect(page.events).toHaveLength(limit);
    beforeId = page.nextBeforeId;
  }
}

const idsOf = (some: readonly { id: number }[]): number[] => some.map(({ id }) => id);

export function eventHistoryConforms(harness: Harness): void {
  describe("the history of events", () => {
    const under = eachWithWorld(harness);

    const prepare = async (webhooks = 1) => {
      const organizationId = await addOrganization(under.store);
      const made = [];
      for (let i = 0; i < webhooks; i += 1) made.push(await addWebhook(under.store, organizationId));
      return { organizationId, webhooks: made, webhookIds: idsOf(made) };
    };

    const add = async (...inputs: EventInput[]): Promise<number[]> =>
      (await append(under.store, ...inputs)).map(({ eventId }) => eventId);

    test("shows each event as it came in, also one that nobody subscribed to", async () => {
      const { organizationId, webhookIds } = await prepare(2);
      const receivedAt = under.store.clock.wall() - 5_000;
      const body = BODY.replace("red", "green").replace("block", "ällow");
      const [first, second] = await add(
        { organizationId, webhookIds: [], externalId: "scan-1", type: GREEN, body, receivedAt },
        { organizationId, webhookIds },
      );
      const events = await eventsOf(under.store, organizationId);
      expect(events).toEqual([
        {
          id: second as number,
          externalId: null,
          type: "red_tier",
          receivedAt: expect.any(Number),
          payload: BODY,
          deliveries: 2,
        },
        {
          id: first as number,
          externalId: "scan-1",
          type: "green_tier",
          receivedAt,
          payload: body,
          deliveries: 0,
        },
      ]);
      const beside = await under.world.beside();
      expect(await eventsOf(beside, organizationId)).toEqual(events);
      expect(await eventsOf(await under.world.reopen(), organizationId)).toEqual(events);
    });

    test("lists newest first, by type or all, each once whatever the page size, and none of others", async () => {
      const { organizationId } = await prepare();
      const other = await addOrganization(under.store, "other");
      const types = [RED, GREEN, GREEN, YELLOW, RED, RED, GREEN, YELLOW, RED, RED];
      for (const type of types) {
        await add({ organizationId, webhookIds: [], type }, { organizationId: other, webhookIds: [], type });
      }
      const all = await eventsOf(under.store, organizationId, { limit: MANY });
      expect(all).toHaveLength(types.length);
      expect(idsOf(all)).toEqual(idsOf(all).toSorted((a, b) => b - a));
      for (const limit of [1, 3, 10, 11]) {
        expect(await eventsOf(under.store, organizationId, { limit })).toEqual(all);
      }
      for (const type of ["green_tier", "yellow_tier", "red_tier"] as const) {
        const wanted = all.filter((event) => event.type === type);
        for (const limit of [1, 2, 3]) {
          expect(await eventsOf(under.store, organizationId, { type, limit })).toEqual(wanted);
        }
      }
      const theirs = await eventsOf(under.store, other);
      expect(theirs).toHaveLength(types.length);
      expect(idsOf(theirs).filter((id) => idsOf(all).includes(id))).toEqual([]);
      expect(await eventsOf(under.store, other + 1_000)).toEqual([]);
    });

    test("pages stay as they are while events are added", async () => {
      const { organizationId } = await prepare();
      const event = { organizationId, webhookIds: [] };
      const ids = await add(...Array(9).fill(event));
      const options = { organizationId, type: null, externalId: null, limit: 4 };
      const first = await under.store.eventHistory.list({ ...options, beforeId: null });
      await add(event, event);
      const second = await under.store.eventHistory.list({ ...options, beforeId: first.nextBeforeId });
      expect(idsOf([...first.events, ...second.events])).toEqual(ids.toReversed().slice(0, 8));
    });

    test("finds an event by the scanner's id, which a repeat of it does not change", async () => {
      const { organizationId, webhookIds } = await prepare();
      const other = await addOrganization(under.store, "other");
      const named = { organizationId, webhookIds, externalId: "scan-1" };
      const [id] = await add(named);
      const [theirs] = await add({ organizationId: other, webhookIds: [], externalId: "scan-1" });
      await add(named, { organizationId, webhookIds, externalId: "scan-2" }, { organizationId, webhookIds });
      const found = async (of: number, only: Partial<EventOptions>) =>
        idsOf(await eventsOf(under.store, of, { externalId: "scan-1", ...only }));
      expect(await found(organizationId, {})).toEqual([id as number]);
      expect(await found(organizationId, { limit: 1 })).toEqual([id as number]);
      expect(await found(organizationId, { type: "red_tier" })).toEqual([id as number]);
      expect(await found(organizationId, { type: "green_tier" })).toEqual([]);
      expect(await found(organizationId, { externalId: "scan-3" })).toEqual([]);
      expect(await found(other, {})).toEqual([theirs as number]);
      const below = { organizationId, type: null, externalId: "scan-1", beforeId: id as number, limit: 5 };
      expect(await under.store.eventHistory.list(below)).toEqual({ events: [], nextBeforeId: null });
      expect(await eventsOf(under.store, organizationId)).toHaveLength(3);
    });

    test("counts and shows deliveries whatever became of them, in the order of their webhooks", async () => {
      const { organizationId, webhooks, webhookIds } = await prepare(3);
      const [id] = await add({ organizationId, webhookIds: webhookIds.toReversed() });
      await finishAll(under.store, webhookIds[0] as number, "delivered");
      await finishAll(under.store, webhookIds[1] as number, "pending");
      await under.store.webhooks.remove(organizationId, webhooks[2]?.uuid as string);
      const [event] = await eventsOf(under.store, organizationId);
      expect(event?.deliveries).toBe(3);
      const detail = await under.store.eventHistory.detail(organizationId, id as number);
      expect(detail?.event).toEqual(event as StoredEvent);
      expect(detail?.deliveries.map(({ webhookId }) => webhookId)).toEqual(webhookIds);
      expect(detail?.deliveries).toMatchObject([
        { eventId: id as number, webhookUuid: webhooks[0]?.uuid as string, status: "delivered" },
        { eventType: "red_tier", status: "pending", attemptCount: 1, lastError: "http_status" },
        { webhookUuid: webhooks[2]?.uuid as string, attemptCount: 0 },
      ]);
      for (const delivery of detail?.deliveries ?? []) {
        expect(delivery).toEqual((await under.store.history.get(organizationId, delivery.id)) as never);
      }
    });

    test("says of another organization's event what it says of none", async () => {
      const { organizationId, webhookIds } = await prepare();
      const other = await addOrganization(under.store, "other");
      const [id] = (await add({ organizationId, webhookIds })) as [number];
      expect((await under.store.eventHistory.detail(organizationId, id))?.deliveries).toHaveLength(1);
      expect(await under.store.eventHistory.detail(other, id)).toBeNull();
      expect(await under.store.eventHistory.detail(organizationId, under.store.ids.next())).toBeNull();
    });

    test("what was pruned is gone from it, and its scanner's id with it", async () => {
      const { organizationId, webhookIds } = await prepare();
      const [old] = (await add({ organizationId, webhookIds, externalId: "old" })) as [number];
      await finishAll(under.store, webhookIds[0] as number, "delivered");
      under.world.skipTime(40 * DAY);
      const [young] = (await add({ organizationId, webhookIds, externalId: "young" })) as [number];
      await prune(under.store, 30 * DAY);
      expect(idsOf(await eventsOf(under.store, organizationId))).toEqual([young]);
      expect(await eventsOf(under.store, organizationId, { externalId: "old" })).toEqual([]);
      expect(await under.store.eventHistory.detail(organizationId, old)).toBeNull();
    });

    test("is read while nothing can be written; what cannot be read is the store's fault, until it can", async () => {
      const { organizationId, webhookIds } = await prepare();
      const [id] = (await add({ organizationId, webhookIds })) as [number];
      const { eventHistory } = under.store;
      const list = () =>
        eventHistory.list({ organizationId, type: null, externalId: null, beforeId: null, limit: 9 });
      const named = () =>
        eventHistory.list({ organizationId, type: null, externalId: "scan-1", beforeId: null, limit: 9 });
      const detail = () => eventHistory.detail(organizationId, id);
      under.world.breakWrites();
      expect(idsOf((await list()).events)).toEqual([id]);
      expect((await detail())?.event.id).toBe(id);
      under.world.mendWrites();
      under.world.breakReads();
      for (const read of [list, named, detail]) {
        expect(await (read() as Promise<unknown>).catch(isStoreFault)).toBe(true);
      }
      under.world.mendReads();
      const isBack = async () => (await list().catch(() => null))?.events.length === 1;
      await until("it can be read again", isBack, SOON);
    });
  });
}
