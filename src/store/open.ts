import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { readSecretKey, replaceFile, type SecretKeySource } from "../secrets/key-file.ts";
import { createSecretBox } from "../secrets/secret-box.ts";
import type { Moved, MoveProgress } from "./move.ts";
import type { SharedInspection } from "./shared-inspection.ts";
import { openMoveSource } from "./sqlite/move-source.ts";
import { openSqliteStore } from "./sqlite/store.ts";
import type { Store } from "./store.ts";

/** The one way in: which database is behind the ports is known here and nowhere else. */

export { writeBackup } from "./sqlite/backup.ts";
export { DATABASE_FILE } from "./sqlite/database-file.ts";
export { inspectDatabase } from "./sqlite/inspect.ts";
export { isLocked, lockDataDir } from "./sqlite/lock.ts";

export interface StoreOptions {
  dataDir: string;
  /** A postgres:// URL: what is kept is there, and the data directory holds nothing of it. */
  database?: string | null;
  log?: Logger;
  /** Where the secret key is, which is made on first start; without one, nothing that needs it can be asked for. */
  secretKey?: SecretKeySource;
  /** Whether the store stays open for long: then it keeps itself up to date, finds out when it can write again, and is ready for events. */
  resident?: boolean;
  /** Called before a database of an older version is changed; may throw to leave it as it is. */
  beforeUpgrade?: () => void;
}

/** Says in a data directory where its contents have gone. */
const MOVED_FILE = "moved-to";

function readMark(dataDir: string): string | null {
  const path = join(dataDir, MOVED_FILE);
  return existsSync(path) ? readFileSync(path, "utf8").trim() : null;
}

/** Whole, and on the disk: what has gone must not be sent from here as well, also after a power cut. */
function mark(dataDir: string, to: string): void {
  const path = join(dataDir, MOVED_FILE);
  writeFileSync(`${path}.tmp`, `${to}\n`, { mode: 0o600, flush: true });
  replaceFile(`${path}.tmp`, path);
}

export interface MoveOptions {
  dataDir: string;
  /** A postgres:// URL. */
  url: string;
  secretKey: SecretKeySource;
  onProgress: MoveProgress;
}

/** Takes all that is in a data directory, on which no daemon runs, to a shared database, and marks the directory. Rejects with UsageError. */
export async function moveToShared({ dataDir, url, secretKey, onProgress }: MoveOptions): Promise<Moved> {
  const { moveTo } = await import("./postgres/move.ts");
  // Brings it up to date, and finishes what was cut short.
  await (await openStore({ dataDir, secretKey })).close();
  const source = openMoveSource(dataDir);
  try {
    const { keyId } = createSecretBox(readSecretKey(secretKey.path));
    const moved = await moveTo(url, source, keyId, onProgress);
    mark(dataDir, moved.to);
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

/** Opens what is kept in a data directory or a shared database, making it when missing. Rejects with UsageError: a sentence for the operator. */
export async function openStore({ database, ...options }: StoreOptions): Promise<Store> {
  if (database) {
    // Whoever has no such database does not load what speaks to it.
    const { openPostgresStore } = await import("./postgres/store.ts");
    return openPostgresStore({ ...options, url: database });
  }
  const movedTo = readMark(options.dataDir);
  if (movedTo !== null) {
    throw new UsageError(
      `what is in ${options.dataDir} was moved to ${movedTo}; start with --database (to go back to how it was then, remove ${join(options.dataDir, MOVED_FILE)})`,
      1,
    );
  }
  // A daemon may go on writing beside who opens it for a moment only.
  return openSqliteStore(options.resident ? options : { ...options, copying: "never" });
}
