/** Beside main.ts, so that a path from here is the same in the binary, where all but the threads is one file. */
export const CHECKPOINT_THREAD = new URL("./store/sqlite/checkpoint-thread.ts", import.meta.url).href;
export const COPY_THREAD = new URL("./store/sqlite/copy-thread.ts", import.meta.url).href;
