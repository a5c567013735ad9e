import type { Database } from "bun:sqlite";
import { sizeOf } from "./write-again.ts";

/** The command line may write beside the daemon; its transactions take milliseconds. */
export const BUSY_TIMEOUT_MS = 2_000;
/** Waiting holds up everything else: once it was in vain, it is short until a write succeeds. */
export const SHORT_BUSY_TIMEOUT_MS = 20;

/** How long a statement waits for another process. */
export function waitForLocks(sqlite: Database, milliseconds: number): void {
  sqlite.exec(`PRAGMA busy_timeout = ${milliseconds}`);
}

/** What a connection to the database is set to before anything else. */
export function configure(sqlite: Database): void {
  waitForLocks(sqlite, BUSY_TIMEOUT_MS);
  // Takes effect on an empty file only, before journal_mode writes its header; on another it would be a write.
  if (sizeOf(sqlite) === 0) sqlite.exec("PRAGMA auto_vacuum = INCREMENTAL");
  sqlite.exec("PRAGMA journal_mode = WAL");
  sqlite.exec("PRAGMA synchronous = FULL");
  sqlite.exec("PRAGMA foreign_keys = ON");
  // The log is copied by checkpoints.ts only.
  sqlite.exec("PRAGMA wal_autocheckpoint = 0");
  sqlite.exec("PRAGMA journal_size_limit = 67108864");
  sqlite.exec("PRAGMA cache_size = -16000");
  sqlite.exec("PRAGMA temp_store = MEMORY");
}
