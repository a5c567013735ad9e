import { Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { messageOf, UsageError } from "../../errors.ts";
import { isThere } from "../../files.ts";
import type { Inspection } from "../inspection.ts";
import { DATABASE_FILE, rollbackJournal } from "./database-file.ts";
import { isBarred } from "./faults.ts";
import { MIGRATIONS } from "./migrations.ts";
import { hasTables, isForeign } from "./tables.ts";

const MAX_PROBLEMS = 5;

/** Checks a whole database file, which takes about a second for each gigabyte. Never throws. */
export function inspectDatabase(dataDir: string): Inspection {
  const path = join(dataDir, DATABASE_FILE);
  let sqlite: Database | null = null;
  try {
    sqlite = new Database(path, { readonly: true });
    sqlite.exec("PRAGMA busy_timeout = 5000");
    const problems = [...integrityProblems(sqlite), ...foreignKeyProblems(sqlite)];
    if (problems.length > 0) return { state: "damaged", problems, facts: null };
    if (isForeign(sqlite)) return { state: "foreign", problems, facts: null };
    return { state: "usable", problems, facts: hasTables(sqlite) ? readFacts(sqlite) : null };
  } catch (error) {
    if (isReadOnly(error) && existsSync(rollbackJournal(path)))
      return { state: "cut short", problems: [], facts: null };
    return { state: isBarred(error) ? "barred" : "damaged", problems: [messageOf(error)], facts: null };
  } finally {
    sqlite?.close();
  }
}

function isReadOnly(error: unknown): boolean {
  return ((error as { code?: string }).code ?? "").startsWith("SQLITE_READONLY");
}

function integrityProblems(sqlite: Database): string[] {
  return sqlite
    .query<{ integrity_check: string }, []>(`PRAGMA integrity_check(${MAX_PROBLEMS})`)
    .all()
    .map((row) => row.integrity_check)
    .filter((text) => text !== "ok");
}

function foreignKeyProblems(sqlite: Database): string[] {
  const rows = sqlite.query<{ table: string; parent: string }, []>("PRAGMA foreign_key_check").all();
  return rows
    .slice(0, MAX_PROBLEMS)
    .map(({ table, parent }) => `a row of ${table} names no row of ${parent}`);
}

function readFacts(sqlite: Database): Inspection["facts"] {
  const metaOf = (key: string): string | null =>
    sqlite.query<{ value: string }, [string]>("SELECT value FROM meta WHERE key = ?").get(key)?.value ?? null;
  const applied =
    sqlite.query<{ at: number | null }, []>("SELECT max(created_at) AS at FROM __drizzle_migrations").get()
      ?.at ?? 0;
  const clock = metaOf("clock");
  return {
    missingMigrations: MIGRATIONS.filter(({ when }) => when > applied).length,
    isNewer: applied > (MIGRATIONS.at(-1)?.when ?? 0),
    sealed: sealedSecretIn(sqlite),
    carriesKey: metaOf("secret_key") !== null,
    clock: clock === null ? null : JSON.parse(clock),
    newestEventAt:
      sqlite.query<{ at: number }, []>("SELECT received_at AS at FROM events ORDER BY id DESC LIMIT 1").get()
        ?.at ?? null,
    urls: sqlite
      .query<{ url: string }, []>("SELECT url FROM webhooks WHERE enabled = 1 AND deleted_at IS NULL")
      .all()
      .map(({ url }) => url),
  };
}

/** One sealed secret of the database in a data directory, if there is any. Throws UsageError. */
export function readSealedSecret(dataDir: string): Uint8Array | null {
  const path = join(dataDir, DATABASE_FILE);
  if (!isThere(path)) return null;
  let sqlite: Database | null = null;
  try {
    sqlite = new Database(path, { readonly: true });
    sqlite.exec("PRAGMA busy_timeout = 5000");
    return hasTables(sqlite) ? sealedSecretIn(sqlite) : null;
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${messageOf(error)}; see "armorhooks doctor"`, 1);
  } finally {
    sqlite?.close();
  }
}

/** One sealed secret of a database, which tells the key that it needs; null when there is none. */
export function sealedSecretIn(sqlite: Database): Uint8Array | null {
  return (
    sqlite
      .query<{ secret: Uint8Array }, []>("SELECT secret FROM webhooks WHERE deleted_at IS NULL LIMIT 1")
      .get()?.secret ?? null
  );
}
