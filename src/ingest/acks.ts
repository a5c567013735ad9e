import { AppError } from "../errors.ts";
import type { StoredScan } from "./events.ts";

/** The lines that scanners get (docs/CONTRACT.md, section 3), one for each of theirs. All are ASCII. */
export interface Acks {
  /** Of an event that is stored and on disk. */
  stored(scan: StoredScan): string;
  /** What was wrong. */
  refused(error: AppError): string;
  /** Of an event that is not stored, or of which nobody can be sure that it is on disk. */
  readonly unavailable: string;
}

export function createAcks(): Acks {
  let latest: { error: AppError; line: string } | null = null;

  const refused = (error: AppError): string => {
    // A flood of bad lines is mostly the same one.
    if (latest?.error !== error) {
      const { code, message } = error;
      latest = { error, line: `${JSON.stringify({ ok: false, error: { code, message } })}\n` };
    }
    return latest.line;
  };

  return {
    stored: ({ id, deliveries, duplicate }) =>
      `{"ok":true,"id":"${id}","deliveries":${deliveries}${duplicate ? ',"duplicate":true' : ""}}\n`,
    refused,
    unavailable: refused(new AppError("UNAVAILABLE", "the event cannot be stored now; send it again")),
  };
}
