import { closeSync, fsyncSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf, Refusal, type UsageError } from "../../errors.ts";
import { AS_DAEMON, openNew } from "../../files.ts";
import { replaceFile } from "../../secrets/key-file.ts";

const MOVED_FILE = "moved-to";
const UNFINISHED = "unfinished ";

/** What a data directory says of where its contents have gone, or are on their way to. */
export interface Mark {
  /** The address, without password. */
  to: string;
  /** Which move it is while not all has arrived; null when it has. */
  move: string | null;
}

/** Null for a data directory whose contents are where they were. Throws UsageError where that cannot be told. */
export function readMark(dataDir: string): Mark | null {
  const path = join(dataDir, MOVED_FILE);
  const text = readMarkFile(path);
  if (text === null) return null;
  const [to = "", state = ""] = text.split("\n");
  return { to, move: state.startsWith(UNFINISHED) ? state.slice(UNFINISHED.length) : null };
}

function readMarkFile(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    // What is no directory has no mark, and is refused by whoever opens it.
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw new Refusal(`cannot read ${path} (${messageOf(error)})`, AS_DAEMON);
  }
}

/** Whole, and on the disk: what has gone must not be sent from here as well, also after a power cut. */
export function writeMark(dataDir: string, { to, move }: Mark): void {
  const path = join(dataDir, MOVED_FILE);
  const text = `${to}\n${move === null ? "" : `${UNFINISHED}${move}\n`}`;
  const file = openNew(`${path}.tmp`);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  replaceFile(`${path}.tmp`, path);
}

/** Where the contents of a data directory have gone, and what to do about it. */
export interface Departure {
  message: string;
  hint: string;
}

function departureOf(dataDir: string, { to, move }: Mark): Departure {
  const path = join(dataDir, MOVED_FILE);
  if (move === null) {
    return {
      message: `what is in ${dataDir} was moved to ${to}`,
      hint: `start with --database (to go back to how it was then, remove ${path})`,
    };
  }
  return {
    message: `what is in ${dataDir} is being moved to ${to}`,
    hint: `run armorhooks move --to it again to the end (to go on here instead, remove ${path}, and move to another database the next time)`,
  };
}

/** What a person is told who starts something on a directory with such a mark. */
export function refusalOf(dataDir: string, mark: Mark): UsageError {
  const { message, hint } = departureOf(dataDir, mark);
  return new Refusal(message, hint);
}

/** Null for a data directory whose contents are where they were. */
export function readDeparture(dataDir: string): Departure | null {
  const mark = readMark(dataDir);
  return mark && departureOf(dataDir, mark);
}

/** Throws UsageError for a data directory whose contents have gone, or are on their way: what is in it is old. */
export function refuseMoved(dataDir: string): void {
  const mark = readMark(dataDir);
  if (mark) throw refusalOf(dataDir, mark);
}
