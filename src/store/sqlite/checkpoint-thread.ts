/** The thread that copies the write-ahead log into the database (checkpoints.ts). */
import { Database } from "bun:sqlite";
import { messageOf } from "../../errors.ts";
import { NOOP, PASSIVE, type WalState } from "./wal-state.ts";

declare const self: Worker;

/** The database's path when there is something to copy, null when that is over. */
export type CheckpointOrder = string | null;
/** Why a copy failed, with SQLite's code; null when it worked. */
export interface CheckpointAnswer {
  /** Whether the database is closed, and no other answer follows. */
  isOver: boolean;
  failure: CopyFailure | null;
}
export interface CopyFailure {
  code: string;
  message: string;
}

/** What comes while one pass copies is less than what it copies; after these, little is left. */
const PASSES = 4;
/** Pages that are not worth another pass. */
const FEW_PAGES = 200;

let sqlite: Database | null = null;

function copyWal(path: string): void {
  sqlite ??= new Database(path, { readwrite: true, create: false });
  for (let pass = 0; pass < PASSES; pass += 1) {
    sqlite.query(PASSIVE).get();
    // A pass answers with the length that the log had when it began.
    const { log, checkpointed } = sqlite.query<WalState, []>(NOOP).get() as WalState;
    if (log - checkpointed < FEW_PAGES) return;
  }
}

function answer(order: CheckpointOrder): CheckpointAnswer {
  const isOver = order === null;
  try {
    if (isOver) sqlite?.close();
    else copyWal(order);
    return { isOver, failure: null };
  } catch (error) {
    const code = String((error as { code?: string }).code ?? "");
    return { isOver, failure: { code, message: messageOf(error) } };
  }
}

self.onmessage = ({ data }: MessageEvent<CheckpointOrder>) => self.postMessage(answer(data));
