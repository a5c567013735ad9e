import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { DeliveryStatus } from "../../../src/outcomes.ts";
import { append, attempt, claimAll, historyOf, MANY, pendingOf, record } from "./deliveries.ts";
import { addOrganization, addWebhook, type Harness, type World } from "./harness.ts";

const WEBHOOKS = 3;

/** What a delivery should be, by what was done to it. */
interface Expected {
  id: number;
  webhookId: number;
  status: DeliveryStatus;
  /** Pending since it was made, and never tried. */
  isFresh: boolean;
}

/** One step of what a daemon does to its deliveries; numbers choose among what is there. */
const step = fc.oneof(
  fc.record({ kind: fc.constant("events" as const), count: fc.integer({ min: 1, max: 4 }) }),
  fc.record({
    kind: fc.constant("results" as const),
    webhook: fc.nat(WEBHOOKS - 1),
    picks: fc.array(fc.nat(), { minLength: 1, maxLength: 6 }),
    status: fc.constantFrom<DeliveryStatus>("delivered", "delivered", "pending", "failed"),
  }),
  fc.record({ kind: fc.constant("end" as const), webhook: fc.nat(WEBHOOKS - 1), pick: fc.nat() }),
  fc.record({ kind: fc.constant("retry" as const), pick: fc.nat() }),
  fc.record({ kind: fc.constant("recover" as const), webhook: fc.nat(WEBHOOKS - 1) }),
  fc.record({ kind: fc.constant("restart" as const) }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** A world, and what should be in it. */
class Model {
  readonly all: Expected[] = [];
  readonly world: World;
  readonly organizationId: number;
  readonly webhookIds: readonly number[];

  constructor(world: World, organizationId: number, webhookIds: readonly number[]) {
    this.world = world;
    this.organizationId = organizationId;
    this.webhookIds = webhookIds;
  }

  pending(webhookId: number): Expected[] {
    return this.all.filter((one) => one.webhookId === webhookId && one.status === "pending");
  }

  async take(action: Step): Promise<void> {
    const { store } = this.world;
    const webhookId = "webhook" in action ? (this.webhookIds[action.webhook] as number) : 0;
    if (action.kind === "events") return this.#addEvents(action.count);
    if (action.kind === "results") return this.#record(webhookId, action.picks, action.status);
    if (action.kind === "end") return this.#end(webhookId, action.pick);
    if (action.kind === "retry") return this.#retry(action.pick);
    if (action.kind === "restart") return void (await this.world.reopen());
    const now = store.clock.wall();
    const range = { webhookId, since: now - 3_600_000, until: now + 3_600_000 };
    const failed = this.all.filter((one) => one.webhookId === webhookId && one.status === "failed");
    expect(await store.deliveryQueue.recover(range)).toBe(failed.length);
    for (const one of failed) Object.assign(one, { status: "pending", isFresh: false });
  }

  async #addEvents(count: number): Promise<void> {
    const { organizationId, webhookIds } = this;
    const { store } = this.world;
    await append(store, ...Array(count).fill({ organizationId, webhookIds }));
    for (const webhookId of webhookIds) {
      const page = await store.history.list({ webhookId, status: null, beforeId: null, limit: count });
      for (const { id } of page.deliveries) {
        this.all.push({ id, webhookId, status: "pending", isFresh: true });
      }
    }
  }

  /** Results of some of a webhook's pending deliveries, in any order; the others are given back. */
  async #record(webhookId: number, picks: readonly number[], status: DeliveryStatus): Promise<void> {
    const { store } = this.world;
    const { fresh, again } = await claimAll(store, webhookId);
    const claimed = [...fresh, ...again];
    if (claimed.length === 0) return;
    const chosen = new Set(picks.map((pick) => claimed[pick % claimed.length]));
    const tried = [...chosen].filter((one) => one !== undefined);
    await record(
      store,
      tried.map((delivery) => attempt(store, delivery, status)),
    );
    store.deliveryQueue.release(claimed.filter((one) => !chosen.has(one)));
    for (const { id } of tried) Object.assign(this.#find(id), { status, isFresh: false });
  }

  async #end(webhookId: number, pick: number): Promise<void> {
    const own = this.all.filter((one) => one.webhookId === webhookId);
    const throughId = own[pick % own.length]?.id;
    if (throughId === undefined) return;
    const ended = this.pending(webhookId).filter(({ id }) => id <= throughId);
    let told = 0;
    const ending = { webhookId, reason: "webhook_disabled", throughId } as const;
    await this.world.store.deliveryQueue.endPending(ending, (_uuid, count) => {
      told += count;
    });
    expect(told).toBe(ended.length);
    for (const one of ended) Object.assign(one, { status: "failed", isFresh: false });
  }

  async #retry(pick: number): Promise<void> {
    const finished = this.all.filter(({ status }) => status !== "pending");
    const one = finished[pick % finished.length];
    if (!one) return;
    await this.world.store.deliveryQueue.retry(one.webhookId, one.id);
    Object.assign(one, { status: "pending", isFresh: false });
  }

  #find(id: number): Expected {
    return this.all.find((one) => one.id === id) as Expected;
  }

  async check(): Promise<void> {
    const { store } = this.world;
    expect(await store.overview.countPending()).toBe(
      this.all.filter(({ status }) => status === "pending").length,
    );
    for (const webhookId of this.webhookIds) {
      const pending = this.pending(webhookId);
      const idsOf = (some: readonly Expected[]) => some.map(({ id }) => id).toSorted((a, b) => a - b);
      const { fresh, again } = await pendingOf(store, webhookId);
      expect(fresh).toEqual(idsOf(pending.filter(({ isFresh }) => isFresh)));
      expect(again.toSorted((a, b) => a - b)).toEqual(idsOf(pending.filter(({ isFresh }) => !isFresh)));
      const listed = await historyOf(store, webhookId, "pending", MANY);
      expect(listed.map(({ id }) => id)).toEqual(idsOf(pending).toReversed());
    }
  }
}

export function deliveriesConform(harness: Harness): void {
  describe("deliveries that are pending", () => {
    test("are all found, and no others, whatever happened in whatever order", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60, size: "max" }), async (steps) => {
          const world = await harness.open();
          try {
            const organizationId = await addOrganization(world.store);
            const webhookIds: number[] = [];
            for (let n = 0; n < WEBHOOKS; n += 1) {
              webhookIds.push((await addWebhook(world.store, organizationId)).id);
            }
            const model = new Model(world, organizationId, webhookIds);
            for (const action of steps) {
              await model.take(action);
              await model.check();
            }
          } finally {
            await world.end();
          }
        }),
        { numRuns: 30 },
      );
    }, 60_000);
  });
}
