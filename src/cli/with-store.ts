import { join, resolve } from "node:path";
import { databaseUrl } from "../config/database.ts";
import { UsageError } from "../errors.ts";
import { isThere } from "../files.ts";
import { isStoreFault } from "../store/faults.ts";
import { DATABASE_FILE, isLocked, openStore, type StoreOptions } from "../store/open.ts";
import type { Store } from "../store/store.ts";

/** The options that say where everything is kept. */
export interface Place {
  dataDir: string;
  database?: string;
}

type Options = Pick<StoreOptions, "secretKey" | "mustExist" | "beforeUpgrade">;

/** Opens the store, beside a running daemon if need be, and closes it again. */
export async function withStore<T>(
  { dataDir, database }: Place,
  run: (store: Store) => Promise<T>,
  options: Options = {},
): Promise<T> {
  const dir = resolve(dataDir);
  const store = await openStore({
    beforeUpgrade: () => refuseUpgrade(dir),
    ...options,
    dataDir: dir,
    database: databaseUrl(database),
  });
  try {
    return await run(store);
  } catch (error) {
    if (!isStoreFault(error)) throw error;
    throw new UsageError(`cannot use the database ${store.place}: ${error.message}`, 1);
  } finally {
    await store.close();
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
export async function withExistingStore<T>(
  place: Place,
  run: (store: Store) => Promise<T>,
  options: Options = {},
): Promise<T> {
  if (place.database === undefined) requireDatabase(place.dataDir);
  return withStore(place, run, { ...options, mustExist: true });
}

/** Throws UsageError when a data directory holds no database, or may not be looked into. */
export function requireDatabase(dataDir: string): void {
  const path = join(resolve(dataDir), DATABASE_FILE);
  if (!isThere(path)) {
    throw new UsageError(`there is no database ${path}; name the daemon's --data-dir`, 1);
  }
}
