import { secretKeySource } from "../../../src/secrets/key-file.ts";
import type { ClaimedDelivery } from "../../../src/store/delivery-queue.ts";
import type { NewEvent } from "../../../src/store/event-log.ts";
import { openPostgresStore } from "../../../src/store/postgres/store.ts";
import type { Store } from "../../../src/store/store.ts";
import { delivered, firstEvent, successOf } from "../own-rows.ts";
import { offer } from "../program.ts";

/**
 * What is left of the whole way without ingest, requests, scheduling and log: the statements that store events with
 * their deliveries, and those that write results, by the daemon's own store and in batches as large as under load. Two
 * writes of results are under way at once, where the daemon has one, so that the server is never idle: it is a limit.
 */
const APPENDED = 1_024;
const RECORDED = 128;
const TWO_AT_ONCE = [1, 2];
/** Until the store holds all webhooks' partitions. */
const LONGEST_MS = 10_000;

let store: Store | null = null;
let event: NewEvent | null = null;

async function open({ url, key }: { url: string; key: string }): Promise<void> {
  store = await openPostgresStore({ url, secretKey: secretKeySource("", key), resident: true });
  event = await firstEvent(store);
  const [webhookId = 0] = event.webhookIds;
  store.deliveryQueue.watch({ due() {}, changed() {}, gained() {}, lost() {} });
  const end = performance.now() + LONGEST_MS;
  while (!store.deliveryQueue.mayBegin(webhookId)) {
    if (performance.now() > end) throw new Error("the store got no partitions");
    await Bun.sleep(20);
  }
}

/** Milliseconds that so many events take, events and results beside each other. */
async function flood({ count }: { count: number }): Promise<number> {
  if (!store || !event) throw new Error("no store is open");
  const { eventLog, deliveryQueue, clock } = store;
  const one = event;
  const [webhookId = 0] = one.webhookIds;
  const waiting: ClaimedDelivery[] = [];
  let isStored = false;
  let more = Promise.withResolvers<void>();
  const tell = (): void => {
    const told = more;
    more = Promise.withResolvers<void>();
    told.resolve();
  };

  const append = async (): Promise<void> => {
    for (let left = count; left > 0; left -= APPENDED) {
      const receivedAt = Date.now();
      const batch = Array.from({ length: Math.min(APPENDED, left) }, () => ({ ...one, receivedAt }));
      const { claimed } = await eventLog.append(batch, () => true);
      waiting.push(...claimed);
      tell();
    }
    isStored = true;
    tell();
  };

  const record = async (): Promise<void> => {
    for (;;) {
      const taken = waiting.splice(0, RECORDED);
      if (taken.length > 0) {
        const records = taken.map((delivery) => delivered(delivery, 1));
        await deliveryQueue.record(records, [successOf(webhookId, clock.schedule())]);
      } else if (isStored) return;
      else await more.promise;
    }
  };

  const startedAt = performance.now();
  await Promise.all([append(), ...TWO_AT_ONCE.map(record)]);
  return performance.now() - startedAt;
}

async function close(): Promise<{ pending: number }> {
  const pending = (await store?.overview.countPending()) ?? Number.NaN;
  await store?.close();
  return { pending };
}

const methods = { open, flood, close };
export type PostgresRowsMethods = typeof methods;
offer(methods);
