import { createDestination } from "../../../src/delivery/http/destination.ts";
import { createTransport } from "../../../src/delivery/http/transport.ts";
import { type Message, writeRequest } from "../../../src/delivery/request.ts";
import { createTarget } from "../../../src/delivery/target.ts";
import { secretKeySource } from "../../../src/secrets/key-file.ts";
import type { ClaimedDelivery } from "../../../src/store/delivery-queue.ts";
import { openSqliteStore, type SqliteStore } from "../../../src/store/sqlite/store.ts";
import { now } from "../clock.ts";
import { eventBody } from "../event.ts";
import { appender, createRows, newEvents, pendingOf } from "../own-rows.ts";
import { steadily } from "../pace.ts";
import { offer } from "../program.ts";

/**
 * What is left of the daemon without ingest, scheduling, judging and log: signed requests over its own transport; and
 * the same with the rows that it writes, by its own store.
 */
interface Options {
  /** Sent to in turn. */
  webhooks: readonly OwnLoopWebhook[];
  count: number;
  inFlight: number;
  rows: OwnRows | null;
}

export interface OwnLoopWebhook {
  url: string;
  secret: string;
}

/** Where rows are, and whether the loop makes them itself or sends what is pending there. */
export interface OwnRows {
  dataDir: string;
  from: "new events" | "pending";
}

const TIMEOUT_MS = 10_000;
const NO_PROXY = { userAgent: "armorhooks/bench", source: "bench", proxy: null };
const transport = createTransport({ ca: null });
let failed = 0;

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

/** Sends a message; then tells how many milliseconds it took. */
function send(
  { target, destination }: Recipient,
  message: Message,
  then: (durationMs: number) => void,
): void {
  const startedAt = performance.now();
  const { text, bytes } = writeRequest(target, message, Date.now());
  const request = { destination, text, bytes, now: startedAt, deadline: startedAt + TIMEOUT_MS };
  transport.exchange(request, (outcome) => {
    if (!outcome.ok || outcome.response.status !== 200) failed += 1;
    then(performance.now() - startedAt);
  });
}

const body = eventBody();

/** Sends so many, so many at once, and stores nothing. */
function floodBare({ webhooks, count, inFlight }: Options): Promise<void> {
  const recipientOf = createRecipients(webhooks);
  const { promise, resolve } = Promise.withResolvers<void>();
  let [begun, ended] = [0, 0];
  const begin = (): void => {
    if (begun === count) return;
    const eventId = `0197a3c0-0000-7000-8000-${begun.toString(16).padStart(12, "0")}`;
    const recipient = recipientOf(begun);
    begun += 1;
    send(recipient, { eventId, body }, () => {
      ended += 1;
      begin();
      if (ended === count) resolve();
    });
  };
  for (let i = 0; i < inFlight; i += 1) begin();
  return promise;
}

/** The same, where each request begins once results were written. */
async function floodRows(store: SqliteStore, { webhooks, count, inFlight, rows }: Options): Promise<void> {
  const recipientOf = createRecipients(webhooks);
  const { promise, resolve } = Promise.withResolvers<void>();
  const source = rows?.from === "pending" ? await pendingOf(store) : await newEvents(store, count);
  const fill = (free: number): void => {
    for (let i = 0; i < free; i += 1) {
      const delivery = waiting.next();
      if (!delivery) return;
      send(recipientOf(0), messageOf(store, delivery), (durationMs) => waiting.note(delivery, durationMs));
    }
  };
  const waiting = createRows(store, source, (freed, written) => {
    if (written === count) resolve();
    fill(freed);
  });
  await waiting.fetch();
  fill(inFlight);
  await promise;
}

function messageOf({ ids }: SqliteStore, { eventId, body: text }: ClaimedDelivery): Message {
  return { eventId: ids.format(eventId), body: text };
}

/** As a daemon opens it: the write-ahead log is copied by a thread. */
function openStore(dataDir: string): SqliteStore {
  return openSqliteStore({ dataDir, secretKey: secretKeySource(dataDir, null), resident: true });
}

const methods = {
  /** Answers once the process is up, so that its start is not measured. */
  ready: () => {},
  flood: async (options: Options) => {
    const store = options.rows ? openStore(options.rows.dataDir) : null;
    const startedAt = now();
    await (store ? floodRows(store, options) : floodBare(options));
    await store?.close();
    return { startedAt, failed };
  },
  /** Stores, syncs and sends one event at a time, so many a second; answers when each began. */
  steady: async (options: { webhook: OwnLoopWebhook; rate: number; count: number; dataDir: string }) => {
    const { webhook, rate, count, dataDir } = options;
    const store = openStore(dataDir);
    const append = await appender(store);
    const recipient = toRecipient(webhook);
    const { promise, resolve } = Promise.withResolvers<void>();
    const rows = createRows(
      store,
      async () => [],
      (_, written) => written === count && resolve(),
    );
    const sentAt: number[] = [];
    await steadily(rate, count, async (sequence) => {
      sentAt.push(now());
      for (const delivery of await append([eventBody(sequence)])) {
        send(recipient, messageOf(store, delivery), (durationMs) => rows.note(delivery, durationMs));
      }
    });
    await promise;
    await store.close();
    return { sentAt, failed };
  },
};

export type OwnLoopMethods = typeof methods;
offer(methods);
