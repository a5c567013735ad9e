import { resolve } from "node:path";
import { openStore, type Store } from "../store/store.ts";

/** Opens the store of a data directory, beside a running daemon if need be, and closes it again. */
export function withStore<T>(dataDir: string, run: (store: Store) => T): T {
  const store = openStore({ dataDir: resolve(dataDir) });
  try {
    return run(store);
  } finally {
    store.close();
  }
}
