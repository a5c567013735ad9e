/** The thread that copies the write-ahead log into the database (checkpoints.ts). It is given the database's path. */
import { Database } from "bun:sqlite";
import { type LogState, PASSIVE } from "./log-state.ts";

declare const self: Worker;

/** What comes while one pass copies is less than what it copies; after these, little is left. */
const PASSES = 3;
/** Pages that are not worth another pass. */
const FEW_PAGES = 100;

function copyLog(path: string): void {
  // Closed again each time: the last connection to close ends the log, and that is to be the main thread's.
  const sqlite = new Database(path, { readwrite: true, create: false });
  try {
    sqlite.exec("PRAGMA synchronous = NORMAL");
    for (let pass = 0; pass < PASSES; pass += 1) {
      const { log, checkpointed } = sqlite.query<LogState, []>(PASSIVE).get() as LogState;
      if (log - checkpointed < FEW_PAGES) return;
    }
  } finally {
    sqlite.close();
  }
}

self.onmessage = ({ data: path }: MessageEvent<string>) => {
  try {
    copyLog(path);
  } catch {
    // The log keeps what was not copied, and whoever writes next tells what is wrong with the disk.
  }
  self.postMessage(null);
};
