/** What SQLite answers to `PRAGMA wal_checkpoint`: pages in the write-ahead log, and how many of them the database has. */
export interface WalState {
  busy: number;
  log: number;
  checkpointed: number;
}

/** Only looks. */
export const NOOP = "PRAGMA wal_checkpoint(NOOP)";
/** Copies what can be copied without waiting for anybody. */
export const PASSIVE = "PRAGMA wal_checkpoint(PASSIVE)";
/** Copies all and has the log begin anew, unless somebody reads an older state. */
export const TRUNCATE = "PRAGMA wal_checkpoint(TRUNCATE)";
