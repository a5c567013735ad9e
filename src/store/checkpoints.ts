import type { Database } from "bun:sqlite";
import { CHECKPOINT_THREAD } from "../threads.ts";
import { type LogState, NOOP, PASSIVE } from "./log-state.ts";

/**
 * Has the write-ahead log copied into the database on another thread, before SQLite would do it within a commit:
 * there it takes 3 to 40 ms, in which nothing else happens. The log begins anew once all of it is copied, so
 * the last few pages, of what came meanwhile, are copied here, while nothing comes.
 */
export interface Checkpoints {
  /** To be called after each commit. */
  committed(): void;
  close(): void;
}

/**
 * A quarter of what SQLite itself waits for, as the log goes on growing meanwhile. Fewer would be copied more
 * often than is worth it; with more, the slowest hundredth of 500 events a second to ten webhooks took longer.
 */
const WORTH_COPYING_PAGES = 4_000;
/** Commits between two looks at the log. */
const LOOK_EVERY = 16;

export function createCheckpoints(
  sqlite: Database,
  path: string,
  threadUrl = CHECKPOINT_THREAD,
): Checkpoints {
  const look = sqlite.prepare<LogState, []>(NOOP);
  const copyRest = sqlite.prepare<LogState, []>(PASSIVE);
  let commits = 0;
  let copying = false;
  /** Begun by the first log that is long enough, as it takes about 10 MB. */
  let thread: Worker | null = null;

  const begin = (): Worker => {
    const begun = new Worker(threadUrl, { smol: true });
    begun.unref();
    begun.onmessage = () => {
      finish();
      copying = false;
    };
    // It stays "copying" then, and SQLite does what this one cannot.
    begun.onerror = () => begun.terminate();
    return begun;
  };

  const finish = (): void => {
    try {
      copyRest.get();
    } catch {
      // As in the thread.
    }
  };

  return {
    committed() {
      commits += 1;
      if (copying || commits % LOOK_EVERY !== 0) return;
      const state = look.get();
      if (!state || state.log < WORTH_COPYING_PAGES || state.checkpointed === state.log) return;
      copying = true;
      thread ??= begin();
      thread.postMessage(path);
    },
    close() {
      thread?.terminate();
      copying = true;
    },
  };
}
