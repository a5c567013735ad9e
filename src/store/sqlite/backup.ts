import { Database } from "bun:sqlite";
import {
  closeSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { drizzle } from "drizzle-orm/bun-sqlite";
import { syncDirectory } from "../../directories.ts";
import { messageOf, Refusal, UsageError } from "../../errors.ts";
import { COPY_THREAD } from "../../threads.ts";
import type { CopyAnswer, CopyOrder } from "./copy-thread.ts";
import type { Orm } from "./database.ts";
import { DATABASE_FILE, finishRollback } from "./database-file.ts";
import { sealedSecretIn } from "./inspect.ts";
import { deleteMeta, setMeta } from "./meta.ts";
import * as schema from "./schema.ts";
import { hasTables } from "./tables.ts";

export interface BackupOptions {
  dataDir: string;
  /** Where the copy goes; must not exist. */
  file: string;
  /** The key that the copy is to carry, given one of its sealed secrets (null: it has none); null for none. */
  keyFor: (sealed: Uint8Array | null) => Buffer | null;
  /** Given up when this is aborted. */
  signal: AbortSignal;
}

export interface Backup {
  bytes: number;
  carriesKey: boolean;
}

/**
 * Copies a database that may be in use: one consistent moment of it, readable by its owner only, and under its name
 * only once it is whole and on disk. Until then it is FILE.PID.partial; those of processes that are gone are removed.
 * Rejects with UsageError.
 */
export async function writeBackup({ dataDir, file, keyFor, signal }: BackupOptions): Promise<Backup> {
  refuseExisting(file);
  const path = join(dataDir, DATABASE_FILE);
  refuseForeign(path);
  const partial = `${file}.${process.pid}.partial`;
  try {
    removeAbandoned(file);
    closeSync(openSync(partial, "wx", 0o600));
  } catch (error) {
    throw unwritable(file, error as Error);
  }
  try {
    await copyDatabase({ path, copy: partial }, file, signal);
    const carriesKey = finishCopy(partial, keyFor, file);
    refuseExisting(file);
    renameSync(partial, file);
    syncDirectory(dirname(file));
    return { bytes: statSync(file).size, carriesKey };
  } finally {
    remove(partial);
  }
}

function unwritable(file: string, { message }: { message: string }): UsageError {
  return new UsageError(`cannot write ${file}: ${message}`, 1);
}

function refuseExisting(file: string): void {
  if (lstatSync(file, { throwIfNoEntry: false })) {
    throw new UsageError(`${file} exists and is not overwritten; choose another name or move it away`, 1);
  }
}

function refuseForeign(path: string): void {
  let sqlite: Database | null = null;
  try {
    finishRollback(path);
    sqlite = new Database(path, { readonly: true });
    sqlite.exec("PRAGMA busy_timeout = 5000");
    if (hasTables(sqlite)) return;
  } catch (error) {
    throw uncopied(path, messageOf(error));
  } finally {
    sqlite?.close();
  }
  throw new Refusal(
    `${path} is not an armorhooks database: it has none of its tables`,
    "name the daemon's --data-dir",
  );
}

function uncopied(path: string, message: string): UsageError {
  return new UsageError(`cannot copy ${path}: ${message}; see "armorhooks doctor"`, 1);
}

const PARTIAL = /^\.(\d+)\.partial(-journal)?$/;

/** What earlier backups to the same file have left that were killed, perhaps with the number that this process has now. */
function removeAbandoned(file: string): void {
  const directory = dirname(file);
  const name = basename(file);
  for (const found of readdirSync(directory)) {
    const pid = found.startsWith(name) ? PARTIAL.exec(found.slice(name.length))?.[1] : undefined;
    if (pid !== undefined && (Number(pid) === process.pid || !isAlive(Number(pid))))
      rmSync(join(directory, found), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Another user's may not be asked.
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

function remove(partial: string): void {
  for (const rest of [partial, `${partial}-journal`]) rmSync(rest, { force: true });
}

/** By a thread, as it may take minutes in which a signal would wait. */
async function copyDatabase(order: CopyOrder, file: string, signal: AbortSignal): Promise<void> {
  const failure = await new Promise<CopyAnswer>((resolve, reject) => {
    const giveUp = (): void => reject(new UsageError(`interrupted; ${file} was not written`, 1));
    if (signal.aborted) return giveUp();
    signal.addEventListener("abort", giveUp, { once: true });
    const thread = new Worker(COPY_THREAD);
    thread.onmessage = ({ data }: MessageEvent<CopyAnswer>) => {
      thread.terminate();
      resolve(data);
    };
    thread.onerror = ({ message }) => resolve({ code: "", message });
    thread.postMessage(order);
  });
  if (failure === null) return;
  throw isOfCopy(failure.code) ? unwritable(file, failure) : uncopied(order.path, failure.message);
}

/** Whether it was the copy that failed: nothing is written to the database itself. */
function isOfCopy(code: string): boolean {
  return /^SQLITE_(FULL|IOERR_(WRITE|FSYNC|DIR_FSYNC|TRUNCATE|DELETE))$/.test(code);
}

/** Puts the key into a copy, or takes it out, and waits until all is on disk; answers whether it is in it. */
function finishCopy(copy: string, keyFor: BackupOptions["keyFor"], file: string): boolean {
  try {
    const carriesKey = addKey(copy, keyFor);
    flushToDisk(copy);
    return carriesKey;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw unwritable(file, error as Error);
  }
}

function addKey(copy: string, keyFor: BackupOptions["keyFor"]): boolean {
  const sqlite = new Database(copy, { readwrite: true, create: false });
  try {
    const orm: Orm = drizzle(sqlite, { schema });
    const key = keyFor(sealedSecretIn(sqlite));
    if (key) setMeta(orm, "secret_key", key.toString("hex"));
    else deleteMeta(orm, "secret_key");
    return key !== null;
  } finally {
    sqlite.close();
  }
}

function flushToDisk(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
