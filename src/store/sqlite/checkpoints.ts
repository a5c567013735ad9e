import type { Database } from "bun:sqlite";
import { messageOf } from "../../errors.ts";
import { CHECKPOINT_THREAD } from "../../threads.ts";
import type { CheckpointAnswer, CheckpointOrder, CopyFailure } from "./checkpoint-thread.ts";
import { NOOP, PASSIVE, TRUNCATE, type WalState } from "./wal-state.ts";

/**
 * Has the write-ahead log copied into the database, on another thread where there is one: within a commit it takes
 * 3 to 40 ms, in which nothing else happens. The log begins anew once all of it is copied, so the last few pages, of
 * what came meanwhile, are copied here, while nothing comes. SQLite never does it by itself, since it would not say
 * that it failed, and another copy must not follow one whose sync has failed (rewrite.ts).
 */
export interface Checkpoints {
  /** To be called after each commit. */
  committed(): void;
  /** Copies what can be copied now, unless the thread is at it. */
  copy(): void;
  /**
   * Copies all here and now and empties the log, unless somebody reads an older state: then that is left to the next
   * copy. Throws what the disk says.
   */
  empty(): void;
  /** Lets the thread end what it is at, for a few seconds at most: then the main thread closes the database last, and whole. */
  finish(): Promise<void>;
  close(): void;
}

/** With more, the slowest hundredth of 500 events a second to ten webhooks took longer. */
const WORTH_COPYING_PAGES = 4_000;
/** Under load the copying, which takes a processor too, waits for this: often the load has gone by then. */
const MUST_COPY_PAGES = 12_000;
/** Without a thread a commit waits for the copying at this length (64 MB). */
const COPY_HERE_PAGES = 16_000;
/** Processors that this process must take for that. */
const LOAD = 0.75;
const FINISH_MS = 5_000;
/** Commits between two looks at the log. */
const LOOK_EVERY = 16;

export interface CheckpointOptions {
  /** Told of each copy: why it failed, or null. */
  onCopied: (failure: CopyFailure | null) => void;
  /** Whether a copy may follow: after a failed sync it must not. */
  mayCopy?: () => boolean;
  /** The thread's script; null to copy without one. */
  thread?: string | null;
  /** Whether the process has been busy since the call before. */
  loaded?: () => boolean;
}

export function createCheckpoints(
  sqlite: Database,
  path: string,
  {
    onCopied,
    mayCopy = () => true,
    thread: script = CHECKPOINT_THREAD,
    loaded = createLoadMeter(),
  }: CheckpointOptions,
): Checkpoints {
  const look = sqlite.prepare<WalState, []>(NOOP);
  const passive = sqlite.prepare<WalState, []>(PASSIVE);
  let url = script;
  let commits = 0;
  /** Whether the thread is at it, or all is over. */
  let copying = false;
  /** Begun by the first log that is long enough, as it takes about 10 MB. */
  let thread: Worker | null = null;
  let stopping: (() => void) | null = null;

  const begin = (url: string): Worker => {
    const begun = new Worker(url, { smol: true });
    begun.unref();
    begun.onmessage = ({ data }: MessageEvent<CheckpointAnswer>) => hear(data);
    begun.onerror = ({ message }) => giveUpThread(message);
    return begun;
  };

  const giveUpThread = (message: string): void => {
    url = null;
    copying = stopping !== null;
    stop();
    onCopied({ code: "", message: `the thread that copies it has ended: ${message}` });
  };

  const hear = ({ isOver, failure }: CheckpointAnswer): void => {
    if (failure !== null) onCopied(failure);
    copying = stopping !== null;
    if (isOver) stop();
    else if (failure === null) copyHere();
  };

  const tell = (error: unknown): void => onCopied(failureOf(error));

  const copyHere = (): void => {
    if (!mayCopy()) return;
    try {
      passive.get();
      onCopied(null);
    } catch (error) {
      tell(error);
    }
  };

  const stop = (): void => {
    thread?.terminate();
    thread = null;
    stopping?.();
  };

  /** A reader may keep a log from beginning anew that was copied long ago: only what is not copied counts. */
  const uncopied = (): number => {
    const state = look.get();
    return state === null ? 0 : state.log - state.checkpointed;
  };

  const copyIfLong = (): void => {
    const pages = uncopied();
    if (url === null) {
      if (pages >= COPY_HERE_PAGES) copyHere();
    } else if (pages >= (loaded() ? MUST_COPY_PAGES : WORTH_COPYING_PAGES)) {
      copying = true;
      thread ??= begin(url);
      thread.postMessage(path satisfies CheckpointOrder);
    }
  };

  const end = (running: Worker): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(stop, FINISH_MS);
      stopping = () => {
        clearTimeout(timer);
        resolve();
      };
      running.postMessage(null satisfies CheckpointOrder);
    });

  return {
    committed() {
      commits += 1;
      if (copying || commits % LOOK_EVERY !== 0) return;
      try {
        copyIfLong();
      } catch (error) {
        // The commit has succeeded, whatever becomes of the log.
        copying = false;
        tell(error);
      }
    },
    copy() {
      if (!copying) copyHere();
    },
    empty() {
      try {
        sqlite.query(TRUNCATE).get();
        onCopied(null);
      } catch (error) {
        tell(error);
        throw error;
      }
    },
    async finish() {
      copying = true;
      if (thread) await end(thread);
      copyHere();
    },
    close() {
      copying = true;
      stop();
      look.finalize();
      passive.finalize();
    },
  };
}

/** As the thread tells it. */
export function failureOf(error: unknown): CopyFailure {
  return { code: String((error as { code?: string }).code ?? ""), message: messageOf(error) };
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
