import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { UsageError } from "../errors.ts";
import { DATABASE_FILE } from "../store/sqlite/database.ts";
import { isLocked } from "../store/sqlite/lock.ts";
import { openStore, type Store } from "../store/sqlite/store.ts";

/** Opens the store of a data directory, beside a running daemon if need be, and closes it again. */
export function withStore<T>(dataDir: string, run: (store: Store) => T): T {
  const dir = resolve(dataDir);
  const store = openStore({ dataDir: dir, beforeUpgrade: () => refuseUpgrade(dir) });
  try {
    return run(store);
  } finally {
    store.close();
  }
}

/** A daemon that is running knows the database as it was when it started. */
function refuseUpgrade(dataDir: string): void {
  if (!isLocked(dataDir)) return;
  throw new UsageError(
    `the daemon on data directory ${dataDir} is of an older version than this command; restart it with this version first`,
    1,
  );
}

/** The same for a database that must be there: looking at a wrong directory should not make one. */
export function withExistingStore<T>(dataDir: string, run: (store: Store) => T): T {
  requireDatabase(dataDir);
  return withStore(dataDir, run);
}

/** Throws UsageError when a data directory holds no database. */
export function requireDatabase(dataDir: string): void {
  const path = join(resolve(dataDir), DATABASE_FILE);
  if (!existsSync(path)) {
    throw new UsageError(`there is no database ${path}; name the daemon's --data-dir`, 1);
  }
}
