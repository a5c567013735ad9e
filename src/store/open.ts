import { UsageError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { readSecretKey, type SecretKeySource } from "../secrets/key-file.ts";
import { createSecretBox, sealedKeyId } from "../secrets/secret-box.ts";
import type { Moved, MoveProgress } from "./move.ts";
import type { SharedInspection } from "./shared-inspection.ts";
import { readSealedSecret } from "./sqlite/inspect.ts";
import { openMoveSource } from "./sqlite/move-source.ts";
import { readMark, refusalOf, refuseMoved, writeMark } from "./sqlite/moved-mark.ts";
import { openSqliteStore } from "./sqlite/store.ts";
import type { Store } from "./store.ts";

/** The one way in: which database is behind the ports is known here and nowhere else. */

export { writeBackup } from "./sqlite/backup.ts";
export { DATABASE_FILE } from "./sqlite/database-file.ts";
export { inspectDatabase } from "./sqlite/inspect.ts";
export { isLocked, lockDataDir, type Running, runningOn } from "./sqlite/lock.ts";
export { readDeparture, refuseMoved } from "./sqlite/moved-mark.ts";

export interface StoreOptions {
  dataDir: string;
  /** A postgres:// URL: what is kept is there, and the data directory holds nothing of it. */
  database?: string | null;
  log?: Logger;
  /** Where the secret key is, which is made on first start; without one, nothing that needs it can be asked for. */
  secretKey?: SecretKeySource;
  /** Whether the store stays open for long: then it keeps itself up to date, finds out when it can write again, and is ready for events. */
  resident?: boolean;
  /** Whether a shared database must be there; otherwise its tables are made. */
  mustExist?: boolean;
  /** Called before a data directory's database of an older version is changed; may throw to leave it as it is. A shared one is left alone while a daemon runs on it. */
  beforeUpgrade?: () => void;
}

export interface MoveOptions {
  dataDir: string;
  /** A postgres:// URL. */
  url: string;
  secretKey: SecretKeySource;
  onProgress: MoveProgress;
}

/**
 * Takes all that is in a data directory, on which no daemon runs, to a shared database, and marks the directory: from
 * its beginning, as what changes here meanwhile would not arrive. Rejects with UsageError.
 */
export async function moveToShared({ dataDir, url, secretKey, onProgress }: MoveOptions): Promise<Moved> {
  const { moveTo, shownAddress } = await import("./postgres/move.ts");
  const address = shownAddress(url);
  const known = readMark(dataDir);
  if (known && (known.move === null || known.to !== address)) throw refusalOf(dataDir, known);
  // Brings it up to date, and finishes what was cut short.
  await openSqliteStore({ dataDir, secretKey, copying: "never" }).close();
  const source = openMoveSource(dataDir);
  try {
    const { keyId } = createSecretBox(readSecretKey(secretKey));
    const move = known?.move ?? crypto.randomUUID();
    const onBegin = (to: string): void => writeMark(dataDir, { to, move });
    const moved = await moveTo({ url, source, keyId, move, onBegin, onProgress });
    writeMark(dataDir, { to: moved.to, move: null });
    return moved;
  } finally {
    source.close();
  }
}

/** Looks at the database that --database names, changing nothing. Rejects with UsageError for what is no such URL. */
export async function inspectSharedDatabase(url: string): Promise<SharedInspection> {
  const { inspectSharedDatabase: inspect } = await import("./postgres/inspect.ts");
  return inspect(url);
}

/**
 * The id of the key that webhook secrets are sealed with, as 8 hex digits; null when none is sealed, or there is no
 * database. Changes nothing. Rejects with UsageError where it cannot be told.
 */
export async function keyIdOf({
  dataDir,
  database,
}: Pick<StoreOptions, "dataDir" | "database">): Promise<string | null> {
  if (!database) {
    const sealed = readSealedSecret(dataDir);
    return sealed && sealedKeyId(sealed);
  }
  const { server, address, problems } = await inspectSharedDatabase(database);
  if (server) return server.keyId;
  throw new UsageError(`cannot use the database ${address}: ${problems.join("; ")}`, 1);
}

/** Opens what is kept in a data directory or a shared database, making it when missing. Rejects with UsageError: a sentence for the operator. */
export async function openStore({ database, mustExist = false, ...options }: StoreOptions): Promise<Store> {
  if (database) {
    // Whoever has no such database does not load what speaks to it.
    const { openPostgresStore } = await import("./postgres/store.ts");
    return openPostgresStore({ ...options, url: database, mustExist });
  }
  refuseMoved(options.dataDir);
  // A daemon may go on writing beside who opens it for a moment only.
  return openSqliteStore(options.resident ? options : { ...options, copying: "never" });
}
