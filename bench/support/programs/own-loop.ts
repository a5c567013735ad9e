import { createDestination } from "../../../src/delivery/http/destination.ts";
import { createTransport } from "../../../src/delivery/http/transport.ts";
import { type Message, writeRequest } from "../../../src/delivery/request.ts";
import { createTarget } from "../../../src/delivery/target.ts";
import { secretKeySource } from "../../../src/secrets/key-file.ts";
import type { AttemptRecord, ClaimedDelivery } from "../../../src/store/delivery-queue.ts";
import { openSqliteStore, type SqliteStore } from "../../../src/store/sqlite/store.ts";
import { now } from "../clock.ts";
import { eventBody } from "../event.ts";
import { offer } from "../program.ts";

/**
 * What is left of the whole way without ingest, scheduling, judging and log: signed requests over the daemon's own
 * transport; and the same with the rows that the daemon writes, by its own store.
 */
interface Options {
  /** Sent to in turn. */
  webhooks: readonly OwnLoopWebhook[];
  count: number;
  inFlight: number;
  /** Where the rows go; null to write none. */
  dataDir: string | null;
}

export interface OwnLoopWebhook {
  url: string;
  secret: string;
}

const TIMEOUT_MS = 10_000;
/** Events of one transaction, as the daemon takes them under load. */
const BATCH = 256;
const NO_PROXY = { userAgent: "armorhooks/bench", source: "bench", proxy: null };

/** What is worked out once for each webhook, as the daemon does with its first attempt. */
function createRecipients(webhooks: readonly OwnLoopWebhook[]) {
  const known: Recipient[] = [];
  return (number: number): Recipient => {
    const at = number % webhooks.length;
    known[at] ??= toRecipient(webhooks[at] as OwnLoopWebhook);
    return known[at];
  };
}

function toRecipient({ url, secret }: OwnLoopWebhook) {
  const target = createTarget({ url, format: "json", organizationId: null, secrets: [secret] }, NO_PROXY);
  return { target, destination: createDestination(target, [target.host]) };
}

type Recipient = ReturnType<typeof toRecipient>;

/** Sends messages, so many at once; answers how many failed. */
async function flood({ webhooks, count, inFlight }: Options, rows: Rows | null): Promise<number> {
  const recipientOf = createRecipients(webhooks);
  const transport = createTransport({ ca: null });
  const { promise, resolve } = Promise.withResolvers<number>();
  let [begun, ended, failed] = [0, 0, 0];
  const begin = (): void => {
    const next = begun < count ? (rows ? rows.next() : plainMessage(begun)) : null;
    if (next === null) return;
    const { target, destination } = recipientOf(begun);
    begun += 1;
    const startedAt = performance.now();
    const { text, bytes } = writeRequest(target, next.message, Date.now());
    const request = { destination, text, bytes, now: startedAt, deadline: startedAt + TIMEOUT_MS };
    transport.exchange(request, (outcome) => {
      ended += 1;
      if (!outcome.ok || outcome.response.status !== 200) failed += 1;
      if (rows) rows.note(next, performance.now() - startedAt);
      else begin();
      if (ended === count && !rows) resolve(failed);
    });
  };
  const fill = (free: number): void => {
    for (let i = 0; i < free; i += 1) begin();
  };
  if (rows) {
    rows.onFree = (freed, written) => {
      if (written === count) resolve(failed);
      fill(freed);
    };
    await rows.fetch();
  }
  fill(inFlight);
  await promise;
  transport.close();
  return failed;
}

interface Next {
  message: Message;
  delivery: ClaimedDelivery | null;
}

const body = eventBody();

function plainMessage(number: number): Next {
  const eventId = `0197a3c0-0000-7000-8000-${number.toString(16).padStart(12, "0")}`;
  return { message: { eventId, body }, delivery: null };
}

/** The rows of the same: events and deliveries before they are sent, results after. */
interface Rows {
  fetch(): Promise<void>;
  next(): Next | null;
  note(sent: Next, durationMs: number): void;
  /** Results were written: so many requests may begin; so many are written in all. */
  onFree: (freed: number, written: number) => void;
}

async function createRows(store: SqliteStore, count: number): Promise<Rows> {
  const organization = await store.organizations.create({ name: "bench", plan: "enterprise" });
  const created = await store.webhooks.create(
    { organizationId: organization.id, url: "https://a.example/", events: ["red_tier"], format: "json" },
    1,
  );
  const webhookIds = [created?.webhook.id ?? 0];
  let [stored, written] = [0, 0];
  const waiting: ClaimedDelivery[] = [];
  let results: AttemptRecord[] = [];
  let isWriting = false;

  const append = async (): Promise<void> => {
    const size = Math.min(BATCH, count - stored);
    stored += size;
    const event = {
      organizationId: organization.id,
      externalId: null,
      type: 2,
      body,
      receivedAt: Date.now(),
      webhookIds,
    };
    const { claimed } = await store.eventLog.append(
      Array.from({ length: size }, () => event),
      () => true,
    );
    store.eventLog.whenDurable(() => {});
    waiting.push(...claimed);
  };

  const write = async (): Promise<void> => {
    isWriting = true;
    const batch = results;
    results = [];
    await store.deliveryQueue.record(batch, [
      {
        webhookId: webhookIds[0] as number,
        url: "",
        succeeded: true,
        failures: 0,
        lastTriggeredAt: Date.now(),
        lastSuccessAt: store.clock.schedule(),
        pausedUntil: null,
        disabledReason: null,
      },
    ]);
    written += batch.length;
    if (waiting.length < BATCH && stored < count) await append();
    isWriting = false;
    rows.onFree(batch.length, written);
    if (results.length > 0) setImmediate(write);
  };

  const rows: Rows = {
    fetch: append,
    next() {
      const delivery = waiting.shift();
      return delivery
        ? {
            message: { eventId: store.ids.format(delivery.eventId), body: delivery.body },
            delivery,
          }
        : null;
    },
    note({ delivery }, durationMs) {
      if (!delivery) return;
      const at = Date.now();
      results.push({
        deliveryId: delivery.id,
        webhookId: delivery.webhookId,
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
      });
      // All that come in one turn share a transaction.
      if (results.length === 1 && !isWriting) setImmediate(write);
    },
    onFree: () => {},
  };
  return rows;
}

const methods = {
  /** Answers once the process is up, so that its start is not measured. */
  ready: () => {},
  flood: async (options: Options) => {
    const { dataDir, count } = options;
    const store = dataDir ? openSqliteStore({ dataDir, secretKey: secretKeySource(dataDir, null) }) : null;
    const rows = store ? await createRows(store, count) : null;
    const startedAt = now();
    const failed = await flood(options, rows);
    await store?.close();
    return { startedAt, failed };
  },
};

export type OwnLoopMethods = typeof methods;
offer(methods);
