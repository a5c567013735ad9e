/** The thread that copies the write-ahead log into the database (checkpoints.ts). */
import { Database } from "bun:sqlite";
import { type LogState, NOOP, PASSIVE } from "./log-state.ts";

declare const self: Worker;

/** The database's path when there is something to copy, null when that is over. */
export type CheckpointOrder = string | null;
/** Whether a copy worked; null once the database is closed. */
export type CheckpointAnswer = boolean | null;

/** What comes while one pass copies is less than what it copies; after these, little is left. */
const PASSES = 4;
/** Pages that are not worth another pass. */
const FEW_PAGES = 200;

let sqlite: Database | null = null;

function copyLog(path: string): void {
  sqlite ??= new Database(path, { readwrite: true, create: false });
  for (let pass = 0; pass < PASSES; pass += 1) {
    sqlite.query(PASSIVE).get();
    // A pass answers with the length that the log had when it began.
    const { log, checkpointed } = sqlite.query<LogState, []>(NOOP).get() as LogState;
    if (log - checkpointed < FEW_PAGES) return;
  }
}

function answer(order: CheckpointOrder): CheckpointAnswer {
  try {
    if (order === null) {
      sqlite?.close();
      return null;
    }
    copyLog(order);
    return true;
  } catch {
    // The log keeps what was not copied, and whoever writes next tells what is wrong with the disk.
    return order === null ? null : false;
  }
}

self.onmessage = ({ data }: MessageEvent<CheckpointOrder>) => self.postMessage(answer(data));
