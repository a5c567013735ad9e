import { idAt } from "../../src/ids.ts";
import { secretKeySource } from "../../src/secrets/key-file.ts";
import { FRESH } from "../../src/store/sqlite/schema.ts";
import { openSqliteStore, type SqliteStore, type StoreOptions } from "../../src/store/sqlite/store.ts";
import type { Store } from "../../src/store/store.ts";
import type { Webhook } from "../../src/store/webhooks.ts";

/** A store on a data directory, ready to make webhooks. */
export function openTestStore(dataDir: string, options: Partial<StoreOptions> = {}): SqliteStore {
  return openSqliteStore({ dataDir, secretKey: secretKeySource(dataDir, null), ...options });
}

/** Closes a store so that its database is one file, as it is after a restore. */
export async function closeWhole(store: SqliteStore): Promise<void> {
  store.database.sqlite.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  await store.close();
}

export async function addOrganization(store: Store): Promise<number> {
  return (await store.organizations.create({ name: "acme", plan: "enterprise" })).id;
}

export async function addWebhook(store: Store, organizationId: number): Promise<Webhook> {
  const input = { organizationId, url: "https://hooks.example.com/a", events: ["red_tier" as const] };
  const made = await store.webhooks.create({ ...input, format: "json" }, Number.POSITIVE_INFINITY);
  if (!made) throw new Error("no webhook was made");
  return made.webhook;
}

export const BODY =
  '{"event":"red_tier","tier":"red","action":"block","risk_score":85,"signals":[],"latency_ms":8,"timestamp":"2026-01-15T10:00:00.000Z"}';

export interface Seed {
  webhookId: number;
  organizationId: number;
  /** Events, each with one delivery and, when it is finished, one attempt. */
  count: number;
  /** When the first was received; the others follow, one each millisecond. */
  at: number;
  status: "pending" | "delivered" | "failed";
}

/** What the watermarks of fresh-deliveries.ts are for what is there. */
const WATERMARKS = `UPDATE webhooks SET
  tried_through = coalesce((SELECT max(id) FROM deliveries WHERE webhook_id = ?1 AND NOT (${FRESH})), 0),
  fresh_from = coalesce((SELECT min(id) FROM deliveries WHERE webhook_id = ?1 AND ${FRESH}),
    (SELECT max(id) + 1 FROM deliveries WHERE webhook_id = ?1), 0)
  WHERE id = ?1`;

const STATUS = { pending: 0, delivered: 1, failed: 2 } as const;

/** Puts many rows in at once, as they would be had the events come over the socket. */
export function seed(
  { database }: SqliteStore,
  { webhookId, organizationId, count, at, status }: Seed,
): void {
  const { sqlite } = database;
  const numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)";
  const isFinished = status !== "pending";
  sqlite.transaction(() => {
    sqlite
      .query(
        `${numbers} INSERT INTO events (id, organization_id, type, body, received_at)
         SELECT ?2 + i * 4096, ?3, 2, ?4, ?5 + i FROM n`,
      )
      .run(count, idAt(at), organizationId, BODY, at);
    sqlite
      .query(
        `${numbers} INSERT INTO deliveries (id, webhook_id, event_id, status, attempt_count, next_attempt_at, last_status, last_error, created_at, finished_at, last_started_at, last_duration_ms, last_excerpt)
         SELECT ?2 + 1 + i * 4096, ?3, ?2 + i * 4096, ?4, ?5, ?6, ?7, ?9, ?8 + i, CASE WHEN ?5 THEN ?8 + i END,
         CASE WHEN ?5 THEN ?8 + i END, CASE WHEN ?5 THEN 5 END, CASE WHEN ?5 THEN 'ok' END FROM n`,
      )
      .run(
        count,
        idAt(at),
        webhookId,
        STATUS[status],
        isFinished ? 1 : 0,
        isFinished ? null : at,
        isFinished ? (status === "delivered" ? 200 : 500) : null,
        at,
        status === "failed" ? "http_status" : null,
      );
    sqlite
      .query("INSERT OR IGNORE INTO webhook_log SELECT webhook_id, id FROM deliveries WHERE webhook_id = ?")
      .run(webhookId);
    sqlite.query(WATERMARKS).run(webhookId);
  })();
}
