import type { Database } from "bun:sqlite";
import { CHECKPOINT_THREAD } from "../../threads.ts";
import type { CheckpointAnswer, CheckpointOrder } from "./checkpoint-thread.ts";
import { type LogState, NOOP, PASSIVE } from "./log-state.ts";

/**
 * Has the write-ahead log copied into the database on another thread, before SQLite would do it within a commit:
 * there it takes 3 to 40 ms, in which nothing else happens. The log begins anew once all of it is copied, so
 * the last few pages, of what came meanwhile, are copied here, while nothing comes.
 */
export interface Checkpoints {
  /** To be called after each commit. */
  committed(): void;
  /** Lets the thread end what it is at, for a few seconds at most: then the main thread closes the database last, and whole. */
  finish(): Promise<void>;
  close(): void;
}

/** With more, the slowest hundredth of 500 events a second to ten webhooks took longer. */
const WORTH_COPYING_PAGES = 4_000;
/** Under load the copying, which takes a processor too, waits for this: often the load has gone by then. SQLite itself waits for 16,000. */
const MUST_COPY_PAGES = 12_000;
/** Processors that this process must take for that. */
const LOAD = 0.75;
const FINISH_MS = 5_000;
/** Commits between two looks at the log. */
const LOOK_EVERY = 16;

export interface CheckpointOptions {
  thread?: string;
  /** Whether the process has been busy since the call before. */
  loaded?: () => boolean;
}

export function createCheckpoints(
  sqlite: Database,
  path: string,
  { thread: url = CHECKPOINT_THREAD, loaded = createLoadMeter() }: CheckpointOptions = {},
): Checkpoints {
  const look = sqlite.prepare<LogState, []>(NOOP);
  const copy = sqlite.prepare<LogState, []>(PASSIVE);
  let commits = 0;
  let copying = false;
  /** Begun by the first log that is long enough, as it takes about 10 MB. */
  let thread: Worker | null = null;
  let stopping: (() => void) | null = null;

  const begin = (): Worker => {
    const begun = new Worker(url, { smol: true });
    begun.unref();
    begun.onmessage = ({ data }: MessageEvent<CheckpointAnswer>) => hear(data);
    // It stays "copying" then, and SQLite does what this one cannot.
    begun.onerror = stop;
    return begun;
  };

  const hear = (answer: CheckpointAnswer): void => {
    if (answer === null) stop();
    else {
      if (answer) copyRest();
      copying = stopping !== null;
    }
  };

  const copyRest = (): void => {
    try {
      copy.get();
    } catch {
      // As in the thread.
    }
  };

  const stop = (): void => {
    thread?.terminate();
    thread = null;
    stopping?.();
  };

  const isLong = (): boolean => {
    const enough = loaded() ? MUST_COPY_PAGES : WORTH_COPYING_PAGES;
    const state = look.get();
    // A reader may keep a log from beginning anew that was copied long ago.
    return state !== null && state.log - state.checkpointed >= enough;
  };

  return {
    committed() {
      commits += 1;
      if (copying || commits % LOOK_EVERY !== 0) return;
      try {
        if (!isLong()) return;
        copying = true;
        thread ??= begin();
        thread.postMessage(path satisfies CheckpointOrder);
      } catch {
        // The commit has succeeded, whatever becomes of the log; the next one tells what is wrong with the disk.
      }
    },
    finish() {
      copying = true;
      if (!thread) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(stop, FINISH_MS);
        stopping = () => {
          clearTimeout(timer);
          resolve();
        };
        thread?.postMessage(null satisfies CheckpointOrder);
      });
    },
    close() {
      copying = true;
      stop();
      look.finalize();
      copy.finalize();
    },
  };
}

function createLoadMeter(): () => boolean {
  let at = performance.now();
  let used = 0;
  return () => {
    const { user, system } = process.cpuUsage();
    const passed = performance.now() - at;
    const taken = (user + system) / 1000 - used;
    at += passed;
    used += taken;
    return taken > passed * LOAD;
  };
}
