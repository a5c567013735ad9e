import { Database } from "bun:sqlite";
import { join } from "node:path";
import { makeDataDir } from "../../directories.ts";
import { messageOf, UsageError } from "../../errors.ts";
import { isThere, makeFile } from "../../files.ts";
import { isBarred } from "./faults.ts";

const LOCK_FILE = "armorhooks.lock";

/**
 * Keeps a second daemon off a data directory: an exclusive SQLite lock on a file of its own, which the
 * kernel frees when the process ends, however it ends. Throws UsageError when it is taken.
 * Keep the answer referenced: the lock goes with it.
 */
export function lockDataDir(dataDir: string): { release(): void } {
  const path = join(dataDir, LOCK_FILE);
  try {
    makeDataDir(dataDir);
    makeFile(path);
  } catch (error) {
    throw new UsageError(`cannot use data directory ${dataDir}: ${messageOf(error)}`, 1);
  }
  let sqlite: Database | null = null;
  try {
    sqlite = new Database(path);
    // `status` and `doctor` hold it for a moment to see whether it is free.
    sqlite.exec("PRAGMA busy_timeout = 500");
    // No file beside it: a daemon must be able to start again on a full disk.
    sqlite.exec("PRAGMA journal_mode = MEMORY");
    sqlite.exec("PRAGMA locking_mode = EXCLUSIVE");
    sqlite.exec("BEGIN EXCLUSIVE");
    const held = sqlite;
    return { release: () => held.close() };
  } catch (error) {
    sqlite?.close();
    if (!/locked|busy/i.test(messageOf(error))) {
      const hint = isBarred(error) ? "; run as the user that owns it" : "";
      throw new UsageError(`cannot lock data directory ${dataDir}: ${messageOf(error)}${hint}`, 1);
    }
    throw new DataDirTaken(
      `another armorhooks is running on data directory ${dataDir}; stop it, or choose another --data-dir`,
      1,
    );
  }
}

class DataDirTaken extends UsageError {}

/** Whether a daemon runs on a data directory; `unknown` to a user who may not lock it. */
export type Running = "yes" | "no" | "unknown";

export function runningOn(dataDir: string): Running {
  try {
    if (!isThere(join(dataDir, LOCK_FILE))) return "no";
    lockDataDir(dataDir).release();
    return "no";
  } catch (error) {
    return error instanceof DataDirTaken ? "yes" : "unknown";
  }
}

/** Whether a daemon holds the lock of a data directory, as far as this user may know. */
export function isLocked(dataDir: string): boolean {
  return runningOn(dataDir) === "yes";
}
