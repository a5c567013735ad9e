import { openSqliteStore, type StoreOptions } from "./sqlite/store.ts";
import type { Store } from "./store.ts";

export type { StoreOptions };

/** Opens what is kept in a data directory, making it when missing. Rejects with UsageError: a sentence for the operator. */
export async function openStore(options: StoreOptions): Promise<Store> {
  return openSqliteStore(options);
}
