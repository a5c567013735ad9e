import type { AttemptRecord, ClaimedDelivery, WebhookDelta } from "../../src/store/delivery-queue.ts";
import type { NewEvent } from "../../src/store/event-log.ts";
import type { SqliteStore } from "../../src/store/sqlite/store.ts";
import type { Store } from "../../src/store/store.ts";
import { eventBody } from "./event.ts";

/** Events of one transaction, and deliveries of one claim, as the daemon takes them under load. */
const BATCH = 256;

/** Deliveries by the daemon's own store, whose results are written in batches of what comes in a turn. */
export interface Rows {
  /** The next one; undefined when those that were fetched are used up. */
  next(): ClaimedDelivery | undefined;
  fetch(): Promise<void>;
  /** Notes that one was delivered. */
  note(delivery: ClaimedDelivery, durationMs: number): void;
}

/** Fetches some more; none once there are no more. */
export type Source = () => Promise<readonly ClaimedDelivery[]>;

/** Stores so many events, in transactions, and what they are delivered as. */
export async function newEvents(store: SqliteStore, count: number): Promise<Source> {
  const append = await appender(store);
  let stored = 0;
  return async () => {
    const size = Math.min(BATCH, count - stored);
    if (size === 0) return [];
    stored += size;
    return append(Array.from({ length: size }, () => body));
  };
}

const body = eventBody();

/** Makes an organization with a webhook; answers an event that goes to it. */
export async function firstEvent({ organizations, webhooks }: Store): Promise<NewEvent> {
  const organization = await organizations.create({ name: "bench", plan: "enterprise" });
  const created = await webhooks.create(
    { organizationId: organization.id, url: "https://a.example/", events: ["red_tier"], format: "json" },
    1,
  );
  const webhookIds = [created?.webhook.id ?? 0];
  return { organizationId: organization.id, externalId: null, type: 2, body, receivedAt: 0, webhookIds };
}

/** Stores events for a webhook of its own; their deliveries are claimed with that. */
export async function appender(store: SqliteStore) {
  const { eventLog } = store;
  const event = await firstEvent(store);
  return async (bodies: readonly string[]): Promise<readonly ClaimedDelivery[]> => {
    const events = bodies.map((text) => ({ ...event, body: text, receivedAt: Date.now() }));
    const { claimed } = await eventLog.append(events, () => true);
    eventLog.whenDurable(() => {});
    return claimed;
  };
}

/** Claims what a webhook has pending that was never tried. */
export async function pendingOf({ deliveryQueue, webhooks }: SqliteStore): Promise<Source> {
  const [webhook] = await webhooks.all();
  const webhookId = webhook?.id ?? 0;
  const asked = { webhookId, fresh: BATCH, again: 0, dueBy: 0, triedBefore: Number.POSITIVE_INFINITY };
  return async () => (await deliveryQueue.claim(asked)).fresh;
}

/** `onFree`: results were written, so many requests may begin; so many are written in all. */
export function createRows(
  { deliveryQueue, clock }: SqliteStore,
  source: Source,
  onFree: (freed: number, written: number) => void,
): Rows {
  const waiting: ClaimedDelivery[] = [];
  let results: AttemptRecord[] = [];
  let isWriting = false;
  let written = 0;

  const fetch = async (): Promise<void> => {
    waiting.push(...(await source()));
  };

  const write = async (): Promise<void> => {
    isWriting = true;
    const batch = results;
    results = [];
    const { webhookId } = batch[0] as AttemptRecord;
    await deliveryQueue.record(batch, [successOf(webhookId, clock.schedule())]);
    written += batch.length;
    if (waiting.length < BATCH) await fetch();
    isWriting = false;
    onFree(batch.length, written);
    if (results.length > 0) setImmediate(write);
  };

  return {
    next: () => waiting.shift(),
    fetch,
    note(delivery, durationMs) {
      results.push(delivered(delivery, durationMs));
      // All that come in one turn share a transaction.
      if (results.length === 1 && !isWriting) setImmediate(write);
    },
  };
}

/** A first attempt that was answered well just now. */
export function delivered({ id, webhookId }: ClaimedDelivery, durationMs: number): AttemptRecord {
  const at = Date.now();
  return {
    deliveryId: id,
    webhookId,
    number: 1,
    startedAt: at,
    durationMs,
    httpStatus: 200,
    error: null,
    detail: null,
    excerpt: "ok",
    status: "delivered",
    nextAttemptAt: null,
    finishedAt: at,
    isCharged: true,
    keepsClaim: false,
    failsWithWebhook: false,
  };
}

/** What such attempts change about their webhook; `now` is schedule time. */
export function successOf(webhookId: number, now: number): WebhookDelta {
  return {
    webhookId,
    url: "",
    succeeded: true,
    failures: 0,
    lastTriggeredAt: Date.now(),
    lastSuccessAt: now,
    pausedUntil: null,
    disabledReason: null,
  };
}
