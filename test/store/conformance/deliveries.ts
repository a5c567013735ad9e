import type { DeliveryStatus, DisabledReason } from "../../../src/outcomes.ts";
import type { AttemptRecord, ClaimedDelivery } from "../../../src/store/delivery-queue.ts";
import type { AppendedEvent, NewEvent } from "../../../src/store/event-log.ts";
import type { Delivery } from "../../../src/store/history.ts";
import type { PruneStep } from "../../../src/store/retention.ts";
import type { Store } from "../../../src/store/store.ts";
import { HOOK_URL } from "./harness.ts";

/** What the suites do with events and deliveries, through the ports alone. */

export const BODY =
  '{"event":"red_tier","tier":"red","action":"block","risk_score":85,"signals":[],"latency_ms":8,"timestamp":"2026-01-15T10:00:00.000Z"}';
const RED = 2;
export const MANY = 1_000;

export interface EventInput {
  organizationId: number;
  webhookIds: readonly number[];
  externalId?: string | null;
  body?: string;
  type?: number;
  /** Wall time, milliseconds since 1970; now when left out. */
  receivedAt?: number;
}

export function newEvent(store: Store, input: EventInput): NewEvent {
  return { externalId: null, body: BODY, type: RED, receivedAt: store.clock.wall(), ...input };
}

/** Stores events and sends none of them at once. */
export async function append(store: Store, ...inputs: EventInput[]): Promise<AppendedEvent[]> {
  const batch = inputs.map((input) => newEvent(store, input));
  return (await store.eventLog.append(batch, () => false)).events;
}

/** Claims all that is pending for a webhook, due or not. */
export async function claimAll(store: Store, webhookId: number) {
  const forever = { dueBy: Number.POSITIVE_INFINITY, triedBefore: Number.POSITIVE_INFINITY };
  return store.deliveryQueue.claim({ webhookId, fresh: MANY, again: MANY, ...forever });
}

/** What could be claimed for a webhook; nothing stays claimed. */
export async function pendingOf(store: Store, webhookId: number) {
  const { fresh, again } = await claimAll(store, webhookId);
  store.deliveryQueue.release([...fresh, ...again]);
  const ids = (deliveries: readonly ClaimedDelivery[]) => deliveries.map(({ id }) => id);
  return { fresh: ids(fresh), again: ids(again) };
}

/** The next attempt of a claimed delivery, as it came out; one that is to be tried again is due in a minute. */
export function attempt(
  store: Store,
  { id, webhookId, attemptCount }: ClaimedDelivery,
  status: DeliveryStatus,
  more: Partial<AttemptRecord> = {},
): AttemptRecord {
  const now = store.clock.wall();
  return {
    deliveryId: id,
    webhookId,
    number: attemptCount + 1,
    startedAt: now,
    durationMs: 5,
    httpStatus: status === "delivered" ? 200 : 500,
    error: status === "delivered" ? null : "http_status",
    detail: null,
    excerpt: status === "delivered" ? "ok" : "no",
    status,
    nextAttemptAt: status === "pending" ? store.clock.schedule() + 60_000 : null,
    finishedAt: status === "pending" ? null : now,
    isCharged: true,
    keepsClaim: false,
    failsWithWebhook: false,
    ...more,
  };
}

/** What a receiver has said beside what became of a delivery; `url` is where it is. */
export interface Said {
  pausedUntil?: number | null;
  disabledReason?: DisabledReason | null;
  url?: string;
}

/** Records attempts and what they say of their webhooks, as the delivery engine does. */
export async function record(
  store: Store,
  attempts: readonly AttemptRecord[],
  { pausedUntil = null, disabledReason = null, url = HOOK_URL }: Said = {},
) {
  const webhookIds = [...new Set(attempts.map(({ webhookId }) => webhookId))];
  const deltas = webhookIds.map((webhookId) => {
    const own = attempts.filter((one) => one.webhookId === webhookId);
    const successes = own.filter(({ error }) => error === null).length;
    return {
      webhookId,
      url,
      succeeded: successes > 0,
      failures: successes > 0 ? 0 : own.length,
      lastTriggeredAt: Math.max(...own.map(({ startedAt }) => startedAt)),
      lastSuccessAt: successes > 0 ? store.clock.schedule() : null,
      pausedUntil,
      disabledReason,
    };
  });
  return store.deliveryQueue.record(attempts, deltas);
}

/** Claims what is pending for a webhook, and has all of it come out the same. */
export async function finishAll(store: Store, webhookId: number, status: DeliveryStatus): Promise<void> {
  const { fresh, again } = await claimAll(store, webhookId);
  await record(
    store,
    [...fresh, ...again].map((delivery) => attempt(store, delivery, status)),
  );
}

/** Every delivery of a webhook, newest first, read in pages of a few. */
export async function historyOf(
  store: Store,
  webhookId: number,
  status: DeliveryStatus | null = null,
  limit = 7,
): Promise<Delivery[]> {
  const all: Delivery[] = [];
  for (let beforeId: number | null = null; ; ) {
    const page = await store.history.list({ webhookId, status, beforeId, limit });
    all.push(...page.deliveries);
    if (page.nextBeforeId === null) return all;
    beforeId = page.nextBeforeId;
  }
}

/** One round of pruning to its end; what it has removed. */
export async function prune(store: Store, olderThan: number): Promise<Omit<PruneStep, "done">> {
  const lease = await store.leases.hold("prune");
  const round = await store.retention.beginRound({
    createdBefore: store.clock.schedule() - olderThan,
    finishedBefore: store.clock.wall() - olderThan,
  });
  const sum = { deliveries: 0, attempts: 0, events: 0 };
  for (let done = false; !done; ) {
    const step = await round.step();
    sum.deliveries += step.deliveries;
    sum.attempts += step.attempts;
    sum.events += step.events;
    done = step.done;
  }
  await lease?.release();
  return sum;
}
