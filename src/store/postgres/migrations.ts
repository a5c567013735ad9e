import init from "../../../drizzle/postgres/0000_init.sql" with { type: "text" };
import pausedUntil from "../../../drizzle/postgres/0001_paused_until.sql" with { type: "text" };
import journal from "../../../drizzle/postgres/meta/_journal.json";
import { Refusal } from "../../errors.ts";
import { hashOf, type Migration, migrationsOf, statementsOf } from "../../migration-journal.ts";
import { isStoreFault } from "../faults.ts";
import { isHeld } from "./alone.ts";
import type { Pool, Query } from "./pool.ts";

/** drizzle-kit's migrations by tag. They are imported as text because the compiled binary has no folder to read. */
const SQL_BY_TAG: Readonly<Record<string, string>> = {
  "0000_init": init,
  "0001_paused_until": pausedUntil,
};

export const MIGRATIONS = migrationsOf(journal, SQL_BY_TAG, "src/store/postgres/migrations.ts");

/** A large database takes its time; those that wait for it do too. */
const LIMIT_MS = 600_000;

/** What waits for a table that is being changed waits for no longer than this: a dump may hold it for hours. */
const LOCK_WAIT = "2s";
const LOCK_PAUSE_MS = 1_000;
/** As long as a daemon waits for a database at its start. */
const PATIENCE_MS = 60_000;

/** Any number that other programs in the same database are not likely to lock. */
const LOCK = 4_206_137_011;

/**
 * Brings a database up to date, all in one transaction, in drizzle's own bookkeeping table. Of daemons that start
 * together one does it, and the others wait. Rejects with UsageError when a newer version of armorhooks has been at
 * this database, or another program. `beforeUpgrade` is called before a database that an older version has made is
 * changed, and may reject. What others hold is tried for again for a minute, and they are not held up meanwhile.
 */
export async function migrate(
  pool: Pool,
  beforeUpgrade: (query: Query) => Promise<void>,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  while (!(await tryToMigrate(pool, beforeUpgrade, migrations))) {
    if (performance.now() > until) {
      throw new Refusal(
        "another program, such as a dump, holds tables that are to be brought up to date",
        "try again when it has ended",
      );
    }
    await Bun.sleep(LOCK_PAUSE_MS);
  }
}

/** False when somebody else holds what is to be changed; then nothing was. */
async function tryToMigrate(
  pool: Pool,
  beforeUpgrade: (query: Query) => Promise<void>,
  migrations: readonly Migration[],
): Promise<boolean> {
  if ((await appliedUntil(pool.query)) === newestOf(migrations)) return true;
  try {
    await apply(pool, beforeUpgrade, migrations);
    return true;
  } catch (error) {
    if (isStoreFault(error) && isHeld(error.cause)) return false;
    throw error;
  }
}

async function apply(
  pool: Pool,
  beforeUpgrade: (query: Query) => Promise<void>,
  migrations: readonly Migration[],
): Promise<void> {
  await pool.transaction(async (query) => {
    await query("SET LOCAL statement_timeout = 0");
    await query("SELECT pg_advisory_xact_lock($1)", [LOCK]);
    const applied = await appliedUntil(query);
    await refuseOthers(query, applied, migrations);
    if (applied === null) await begin(query);
    else if (applied > 0 && applied < newestOf(migrations)) await beforeUpgrade(query);
    await query(`SET LOCAL lock_timeout = '${LOCK_WAIT}'`);
    for (const migration of migrations) {
      const { when } = migration;
      if (when <= (applied ?? 0)) continue;
      for (const statement of statementsOf(migration)) await query(statement);
      await query("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ($1, $2)", [
        hashOf(migration),
        when,
      ]);
    }
  }, LIMIT_MS);
}

function newestOf(migrations: readonly Migration[]): number {
  return migrations.at(-1)?.when ?? 0;
}

/** Rejects with UsageError for tables of a newer version, or of another program. */
export async function refuseOthers(
  query: Query,
  applied: number | null,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<void> {
  if ((applied ?? 0) > newestOf(migrations)) {
    throw new Refusal(
      "the database was written by a newer version of armorhooks",
      "install that version everywhere",
    );
  }
  if (applied !== null) return;
  const [other] = await query<{ name: string }>(
    "SELECT relname AS name FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace LIMIT 1",
  );
  if (other) {
    throw new Refusal(
      `the database holds tables of another program (${other.name})`,
      "make one for armorhooks alone",
    );
  }
}

async function begin(query: Query): Promise<void> {
  await query(
    "CREATE TABLE __drizzle_migrations (id serial PRIMARY KEY, hash text NOT NULL, created_at bigint NOT NULL)",
  );
}

/** When the latest migration that was applied was made; null when the database is empty. */
export async function appliedUntil(query: Query): Promise<number | null> {
  // A table that another daemon has made meanwhile may be unknown to whoever asks for it by name.
  const [there] = await query(
    "SELECT 1 FROM pg_class WHERE relname = '__drizzle_migrations' AND relnamespace = current_schema()::regnamespace",
  );
  if (!there) return null;
  const [row] = await query<{ at: number | null }>(
    "SELECT max(created_at)::float8 AS at FROM __drizzle_migrations",
  );
  return row?.at ?? 0;
}
