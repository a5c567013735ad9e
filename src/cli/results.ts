import { write } from "node:fs";
import { UsageError } from "../errors.ts";
import { paint } from "./output.ts";

/** What commands say on standard output: written whole, or the command fails. */

const STDOUT = 1;
/** Before the next try where whoever shares the pipe has made it one that does not wait. */
const PAUSE_MS = 5;

/** A result that could not be written. */
export class OutputError extends UsageError {
  /** Whether nobody is to be told: the reader has gone, as `head` does, and nothing was done that only the result tells of. */
  readonly isQuiet: boolean;

  constructor({ code, message }: NodeJS.ErrnoException, done: string | undefined) {
    super(`cannot write to standard output: ${message}${done === undefined ? "" : `; ${done}`}`, 1);
    this.isQuiet = code === "EPIPE" && done === undefined;
  }
}

/** Everything before it is written first. */
let last: Promise<void> = Promise.resolve();

/**
 * Writes a text and a line break, waiting for a slow reader. Rejects with OutputError. `done` is for a command that
 * has changed something: what, and what to do when nobody has read the result.
 */
export function print(text: string, done?: string): Promise<void> {
  const written = last.then(() => writeAll(Buffer.from(`${text}\n`)));
  last = written.catch(() => {});
  return written.catch((error) => {
    throw new OutputError(error, done);
  });
}

async function writeAll(bytes: Buffer): Promise<void> {
  for (let from = 0; from < bytes.length; ) from += await writeSome(bytes, from);
}

function writeSome(bytes: Buffer, from: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(STDOUT, bytes, from, bytes.length - from, null, (error, written) => {
      if (error?.code === "EAGAIN") setTimeout(resolve, PAUSE_MS, 0);
      else if (error) reject(error);
      else resolve(written);
    });
  });
}

/** Prints a value as JSON. */
export function printJson(value: unknown, done?: string): Promise<void> {
  return print(JSON.stringify(value, null, process.stdout.isTTY ? 2 : 0), done);
}

/** Lines with columns as wide as their widest cell; the header in bold on a terminal. */
export function tableOf(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = header.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => (row[i] ?? "").length)),
  );
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === cells.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join("  ");
  return [paint("bold", line(header)), ...rows.map(line)];
}

export function printTable(header: readonly string[], rows: readonly (readonly string[])[]): Promise<void> {
  return print(tableOf(header, rows).join("\n"));
}
