/** The thread that copies a database for a backup (backup.ts), which can be interrupted meanwhile. */
import { Database } from "bun:sqlite";
import { messageOf } from "../../errors.ts";
import type { CopyFailure } from "./checkpoint-thread.ts";

declare const self: Worker;

export interface CopyOrder {
  path: string;
  /** An empty file. */
  copy: string;
}
/** Null when the copy is whole. */
export type CopyAnswer = CopyFailure | null;

function answer({ path, copy }: CopyOrder): CopyAnswer {
  let sqlite: Database | null = null;
  try {
    sqlite = new Database(path, { readonly: true });
    sqlite.exec("PRAGMA busy_timeout = 5000");
    sqlite.query("VACUUM INTO ?").run(copy);
    return null;
  } catch (error) {
    const code = String((error as { code?: string }).code ?? "");
    return { code, message: messageOf(error) };
  } finally {
    sqlite?.close();
  }
}

self.onmessage = ({ data }: MessageEvent<CopyOrder>) => self.postMessage(answer(data));
