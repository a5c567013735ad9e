import { secretKeySource } from "../../../src/secrets/key-file.ts";
import type { NewEvent } from "../../../src/store/event-log.ts";
import { openSqliteStore, type SqliteStore } from "../../../src/store/sqlite/store.ts";
import { eventBody } from "../event.ts";
import { offer } from "../program.ts";

/** Fills a database with the daemon's own store functions, without the daemon. */
const BATCH = 256;
const body = eventBody();
let store: SqliteStore | null = null;
let organizationId = 0;
let stored = 0;

export type ScannerIds = "none" | "ascending" | "random";

function opened(): SqliteStore {
  if (!store) throw new Error("no store is open");
  return store;
}

function newEvent(ids: ScannerIds, webhookIds: readonly number[]): NewEvent {
  stored += 1;
  const externalId =
    ids === "none"
      ? null
      : ids === "random"
        ? crypto.randomUUID()
        : `scan-${String(stored).padStart(9, "0")}`;
  return { organizationId, externalId, type: 2, body, receivedAt: Date.now(), webhookIds };
}

interface Shape {
  ids: ScannerIds;
  webhookIds: readonly number[];
}

function insert(count: number, batch: number, { ids, webhookIds }: Shape): void {
  const { eventLog, clock } = opened();
  for (let left = count; left > 0; left -= batch) {
    const part = Array.from({ length: Math.min(batch, left) }, () => newEvent(ids, webhookIds));
    eventLog.insertEvents(part, clock.schedule());
  }
}

const methods = {
  open: async ({ dataDir }: { dataDir: string }): Promise<{ webhookIds: number[] }> => {
    store = openSqliteStore({ dataDir, secretKey: secretKeySource(dataDir, null) });
    const { organizations, webhooks } = store;
    const [organization] = await organizations.list();
    organizationId =
      organization?.id ?? (await organizations.create({ name: "bench", plan: "enterprise" })).id;
    stored = 0;
    return { webhookIds: (await webhooks.all()).map(({ id }) => id) };
  },
  /** Makes organizations with webhooks of their own at these URLs in turn; answers the organizations' ids, the secrets and the milliseconds that registering one took. */
  register: async ({ count, each, urls }: { count: number; each: number; urls: readonly string[] }) => {
    const { organizations, webhooks } = opened();
    const ids: string[] = [];
    const secrets: string[] = [];
    const start = performance.now();
    for (let made = 0; made < count; made += 1) {
      if (made % each === 0) {
        const organization = await organizations.create({ name: `bench ${ids.length}`, plan: "enterprise" });
        ids.push(organization.uuid);
        organizationId = organization.id;
      }
      const url = `${urls[made % urls.length]}/${made}`;
      const created = await webhooks.create(
        { organizationId, url, events: ["red_tier"], format: "json" },
        Number.POSITIVE_INFINITY,
      );
      secrets.push(created?.secret ?? "");
    }
    return { organizationIds: ids, secrets, eachMs: (performance.now() - start) / count };
  },
  /** Stores events until there are so many, as fast as it goes. */
  grow: ({ until, ...shape }: Shape & { until: number }): void => {
    insert(until - stored, Math.max(1, Math.floor(8192 / (1 + shape.webhookIds.length))), shape);
  },
  /** Microseconds per event in durable batches of 256, checkpoints included. */
  cost: ({ count, ...shape }: Shape & { count: number }): number => {
    const start = performance.now();
    insert(count, BATCH, shape);
    return ((performance.now() - start) * 1000) / count;
  },
  close: async (): Promise<{ events: number; pending: number }> => {
    const { database, overview } = opened();
    const row = database.sqlite.query<{ n: number }, []>("SELECT count(*) AS n FROM events").get();
    const counts = { events: row?.n ?? 0, pending: await overview.countPending() };
    await opened().close();
    store = null;
    return counts;
  },
};

export type StoreMethods = typeof methods;
offer(methods);
