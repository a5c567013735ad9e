import type { Database } from "bun:sqlite";
import type { Rewrite } from "./rewrite.ts";
import { NOOP, type WalState } from "./wal-state.ts";

/** Writes and syncs again what a failed sync may have lost, while nobody else can write. Throws when that cannot be done. */
export function writeAgain(sqlite: Database, rewrite: Rewrite): void {
  const beginning = rewrite.beginning();
  // SQLite does not tell within a transaction.
  const { log, checkpointed } = stateOf(sqlite);
  // Whatever was in the log before is synced in the database, or the log would not have begun anew.
  if (log <= 0) return;
  sqlite.exec("BEGIN IMMEDIATE");
  try {
    if (rewrite.beginning() !== beginning) throw new Error("another program has written meanwhile");
    rewrite.run({ log, checkpointed, pages: sizeOf(sqlite) });
  } finally {
    rollback(sqlite);
  }
}

export function stateOf(sqlite: Database): WalState {
  return sqlite.query<WalState, []>(NOOP).get() as WalState;
}

/** Pages of the database; 0 for one that is new. */
export function sizeOf(sqlite: Database): number {
  return sqlite.query<{ page_count: number }, []>("PRAGMA page_count").get()?.page_count ?? 0;
}

export function rollback(sqlite: Database): void {
  try {
    sqlite.exec("ROLLBACK");
  } catch {
    // After a full disk SQLite may have rolled back by itself; what stands in the way otherwise, the next BEGIN says.
  }
}
