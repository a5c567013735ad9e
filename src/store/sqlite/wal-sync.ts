import { closeSync, fdatasync, fdatasyncSync, openSync } from "node:fs";

/** Told that what was written before is on disk (null), or why nobody can be sure of it. */
export type Durable = (error: Error | null) => void;

/** Brings the write-ahead log to the disk, apart from SQLite, on a thread of the runtime's. */
export interface WalSync {
  /** Calls back, in the order of the calls, once all that is in the log now survives a power cut. */
  request(done: Durable): void;
  /** The same with the next call that somebody requests: none is made for this alone. */
  join(done: Durable): void;
  /** Does so now for everybody who waits. */
  finish(): void;
  close(): void;
}

/** `path` is the log's: it must be there, and stay the same file, from the first request on. */
export function createWalSync(path: string): WalSync {
  let files: { asked: number; finishing: number } | null = null;
  let waiting: Durable[] = [];
  let joining: Durable[] = [];
  /** Who waits for the call that is being made. */
  let asked: Durable[] | null = null;

  /** The kernel tells each descriptor once of a failed write: who finishes must not depend on what the other was told. */
  const open = () => {
    files ??= { asked: openSync(path, "r+"), finishing: openSync(path, "r+") };
    return files;
  };

  const takeAll = (): Durable[] => {
    const all = [...joining, ...waiting];
    joining = [];
    waiting = [];
    return all;
  };

  const ask = (): void => {
    const batch = takeAll();
    asked = batch;
    const answered = (error: Error | null): void => {
      if (asked !== batch) return;
      asked = null;
      answer(batch, error);
    };
    try {
      fdatasync(open().asked, answered);
    } catch (error) {
      setImmediate(answered, error as Error);
    }
  };

  const answer = (batch: readonly Durable[], error: Error | null): void => {
    // The next call may say that all is well, and it is not.
    const failed = error === null ? [] : takeAll();
    // Whoever came meanwhile need not wait for the others' consequences.
    if (waiting.length > 0) ask();
    for (const done of batch) done(error);
    for (const done of failed) done(error);
  };

  return {
    request(done) {
      waiting.push(done);
      if (asked === null) ask();
    },
    join(done) {
      joining.push(done);
    },
    finish() {
      if (asked === null && waiting.length === 0) return;
      const all = [...(asked ?? []), ...takeAll()];
      asked = null;
      let failure: Error | null = null;
      try {
        fdatasyncSync(open().finishing);
      } catch (error) {
        failure = error as Error;
      }
      for (const done of all) done(failure);
    },
    close() {
      if (files) for (const file of Object.values(files)) closeSync(file);
      files = null;
    },
  };
}
