import type { Database } from "bun:sqlite";
import init from "../../../drizzle/0000_init.sql" with { type: "text" };
import leanDeliveries from "../../../drizzle/0001_lean_deliveries.sql" with { type: "text" };
import externalIdRuns from "../../../drizzle/0002_external_id_runs.sql" with { type: "text" };
import freshMarks from "../../../drizzle/0003_fresh_marks.sql" with { type: "text" };
import statusRange from "../../../drizzle/0004_status_range.sql" with { type: "text" };
import webhookLog from "../../../drizzle/0005_webhook_log.sql" with { type: "text" };
import attemptDetail from "../../../drizzle/0006_attempt_detail.sql" with { type: "text" };
import webhookOptions from "../../../drizzle/0007_webhook_options.sql" with { type: "text" };
import eventsAndMinutes from "../../../drizzle/0008_events_and_minutes.sql" with { type: "text" };
import pausedUntil from "../../../drizzle/0009_paused_until.sql" with { type: "text" };
import deletedWebhooks from "../../../drizzle/0010_deleted_webhooks.sql" with { type: "text" };
import journal from "../../../drizzle/meta/_journal.json";
import { UsageError } from "../../errors.ts";
import { hashOf, type Migration, migrationsOf, statementsOf } from "../../migration-journal.ts";

/** drizzle-kit's migrations by tag. They are imported as text because the compiled binary has no folder to read. */
const SQL_BY_TAG: Readonly<Record<string, string>> = {
  "0000_init": init,
  "0001_lean_deliveries": leanDeliveries,
  "0002_external_id_runs": externalIdRuns,
  "0003_fresh_marks": freshMarks,
  "0004_status_range": statusRange,
  "0005_webhook_log": webhookLog,
  "0006_attempt_detail": attemptDetail,
  "0007_webhook_options": webhookOptions,
  "0008_events_and_minutes": eventsAndMinutes,
  "0009_paused_until": pausedUntil,
  "0010_deleted_webhooks": deletedWebhooks,
};

export const MIGRATIONS = migrationsOf(journal, SQL_BY_TAG, "src/store/sqlite/migrations.ts");

/**
 * Brings a database up to date, each migration in a transaction of its own, in drizzle's own bookkeeping
 * table. Throws a UsageError when a newer version of armorhooks has been at this database. `beforeUpgrade` is
 * called before a database that an older version has made is changed, and may throw.
 */
export function migrate(
  sqlite: Database,
  migrations: readonly Migration[] = MIGRATIONS,
  beforeUpgrade = (): void => {},
): void {
  sqlite.exec(
    "CREATE TABLE IF NOT EXISTS __drizzle_migrations (id INTEGER PRIMARY KEY, hash TEXT NOT NULL, created_at NUMERIC)",
  );
  const applied = appliedUntil(sqlite);
  const newest = migrations.at(-1)?.when ?? 0;
  if (applied > newest) {
    throw new UsageError(
      "this database was written by a newer version of armorhooks; install that version or restore a backup made before the upgrade",
      1,
    );
  }
  if (applied > 0 && applied < newest) beforeUpgrade();
  for (const migration of migrations) {
    if (migration.when > applied) apply(sqlite, migration);
  }
}

function appliedUntil(sqlite: Database): number {
  const row = sqlite
    .query<{ at: number | null }, []>("SELECT max(created_at) AS at FROM __drizzle_migrations")
    .get();
  return row?.at ?? 0;
}

function apply(sqlite: Database, migration: Migration): void {
  const { when } = migration;
  sqlite.exec("BEGIN IMMEDIATE");
  try {
    // Another process may have been first while we waited for the lock.
    if (appliedUntil(sqlite) < when) {
      for (const statement of statementsOf(migration)) sqlite.exec(statement);
      sqlite
        .query("INSERT INTO __drizzle_migrations (hash, created_at) VALUES (?, ?)")
        .run(hashOf(migration), when);
    }
    sqlite.exec("COMMIT");
  } catch (error) {
    sqlite.exec("ROLLBACK");
    throw error;
  }
}
