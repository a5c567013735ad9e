import { Database } from "bun:sqlite";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { makeDataDir } from "../../directories.ts";
import { messageOf, UsageError } from "../../errors.ts";
import { makeFile } from "../../files.ts";
import { CompiledOnce } from "./compiled-once.ts";
import { isSqliteFault } from "./faults.ts";
import { isForeign } from "./tables.ts";

export const DATABASE_FILE = "armorhooks.db";

/** Makes the data directory and the database's file where they are missing; answers its path. Throws UsageError. */
export function prepareFile(dataDir: string): string {
  try {
    makeDataDir(dataDir);
    const path = join(dataDir, DATABASE_FILE);
    // SQLite would create it with mode 0644; its log files take their mode from it.
    makeFile(path);
    return path;
  } catch (error) {
    throw new UsageError(`cannot use data directory ${dataDir}: ${messageOf(error)}`, 1);
  }
}

/** A damaged file must be refused before anything, even SQLite's own recovery, writes to it. */
export function openChecked(path: string): Database {
  if (statSync(path).size > 0) {
    finishRollback(path);
    checkIntegrity(path);
  }
  try {
    return new CompiledOnce(path, { create: true, readwrite: true, strict: true });
  } catch (error) {
    throw refusal(path, error);
  }
}

/** Where SQLite keeps what a file held before a transaction that is not written to a write-ahead log. */
export function rollbackJournal(path: string): string {
  return `${path}-journal`;
}

/**
 * A start that was cut short while it switched a new or restored file to the write-ahead log has left a journal:
 * until SQLite has rolled that back the file is not whole, and who may only read cannot do so.
 */
export function finishRollback(path: string): void {
  if (!existsSync(rollbackJournal(path))) return;
  let sqlite: Database | null = null;
  try {
    sqlite = new Database(path, { create: false, readwrite: true });
    sqlite.exec("PRAGMA busy_timeout = 5000");
    sqlite.query("SELECT count(*) FROM sqlite_schema").get();
  } catch (error) {
    if (!isBusy(error)) throw refusal(path, error);
  } finally {
    sqlite?.close();
  }
}

/** Files up to this size are checked whole; a larger one would delay the start, by a second for each gigabyte (`doctor` checks it whole). */
const FULL_CHECK_BYTES = 8 * 1024 * 1024;

function checkIntegrity(path: string): void {
  let sqlite: Database | null = null;
  try {
    sqlite = new Database(path, { readonly: true });
    sqlite.exec("PRAGMA busy_timeout = 5000");
    if (statSync(path).size <= FULL_CHECK_BYTES) quickCheck(sqlite);
    touchEveryTree(sqlite);
  } catch (error) {
    // A database in use elsewhere is not damaged: the real open will wait or say so.
    if (!isBusy(error)) throw refusal(path, error);
  } finally {
    sqlite?.close();
  }
}

function quickCheck(sqlite: Database): void {
  const row = sqlite.query<{ quick_check: string }, []>("PRAGMA quick_check(1)").get();
  const found = row?.quick_check ?? "no answer from quick_check";
  // What is found comes in several lines.
  if (found !== "ok") throw new Error(found.trim().replaceAll(/\s*\n\s*/g, " "));
}

function touchEveryTree(sqlite: Database): void {
  if (isForeign(sqlite)) throw new Error("it holds tables of another program");
  const tables = sqlite
    .query<{ name: string }, []>("SELECT name FROM sqlite_schema WHERE type = 'table'")
    .all();
  for (const { name } of tables) sqlite.query(`SELECT * FROM "${name}" ORDER BY 1 DESC LIMIT 1`).all();
}

/** Only a file that is damaged may be called so: nobody should move a sound database away because the disk is full. */
export function refusal(path: string, error: unknown): UsageError {
  return new UsageError(`${refusalText(path, error)} (${messageOf(error)})`, 1);
}

function refusalText(path: string, error: unknown): string {
  if (isBusy(error))
    return `the database ${path} is locked by another program; try again when that has ended`;
  if (isSqliteFault(error) && !isDamage(error)) {
    return `the database ${path} cannot be opened; check its permissions, that its directory can be written, and that the disk has room`;
  }
  return `the database ${path} is damaged or not an armorhooks database; it was not changed. Restore a backup, or move the file away to start empty`;
}

function isDamage(error: unknown): boolean {
  const { code = "" } = ((error as Error).cause ?? error) as { code?: string };
  return /^SQLITE_(CORRUPT|NOTADB|FORMAT)/.test(code);
}

function isBusy(error: unknown): boolean {
  return /SQLITE_BUSY|database is locked/.test(`${(error as { code?: string })?.code} ${messageOf(error)}`);
}
