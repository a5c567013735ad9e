import { Database } from "bun:sqlite";
import { closeSync, existsSync, fsyncSync, lstatSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { drizzle } from "drizzle-orm/bun-sqlite";
import { syncDirectory } from "../../directories.ts";
import { messageOf, UsageError } from "../../errors.ts";
import type { Orm } from "./database.ts";
import { DATABASE_FILE, finishRollback } from "./database-file.ts";
import { sealedSecretIn } from "./inspect.ts";
import { deleteMeta, setMeta } from "./meta.ts";
import * as schema from "./schema.ts";

export interface BackupOptions {
  dataDir: string;
  /** Where the copy goes; must not exist. */
  file: string;
  /** The key that the copy is to carry, given one of its sealed secrets (null: it has none); null for none. */
  keyFor: (sealed: Uint8Array | null) => Buffer | null;
}

export interface Backup {
  bytes: number;
  carriesKey: boolean;
}

/**
 * Copies a database that may be in use: one consistent moment of it, readable by its owner only, and
 * under its name only once it is whole and on disk. Throws UsageError.
 */
export function writeBackup({ dataDir, file, keyFor }: BackupOptions): Backup {
  refuseExisting(file);
  const partial = `${file}.${process.pid}.partial`;
  try {
    closeSync(openSync(partial, "wx", 0o600));
  } catch (error) {
    throw new UsageError(`cannot write ${file}: ${messageOf(error)}`, 1);
  }
  try {
    copyDatabase(join(dataDir, DATABASE_FILE), partial);
    const carriesKey = addKey(partial, keyFor);
    flushToDisk(partial);
    refuseExisting(file);
    renameSync(partial, file);
    syncDirectory(dirname(file));
    return { bytes: statSync(file).size, carriesKey };
  } finally {
    for (const rest of [partial, `${partial}-journal`]) if (existsSync(rest)) rmSync(rest);
  }
}

function refuseExisting(file: string): void {
  if (lstatSync(file, { throwIfNoEntry: false })) {
    throw new UsageError(`${file} exists and is not overwritten; choose another name or move it away`, 1);
  }
}

function copyDatabase(path: string, copy: string): void {
  let sqlite: Database | null = null;
  try {
    finishRollback(path);
    sqlite = new Database(path, { readonly: true });
    sqlite.exec("PRAGMA busy_timeout = 5000");
    sqlite.query("VACUUM INTO ?").run(copy);
  } catch (error) {
    throw new UsageError(`cannot copy ${path}: ${messageOf(error)}; see "armorhooks doctor"`, 1);
  } finally {
    sqlite?.close();
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
