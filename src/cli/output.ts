import { fstatSync, write } from "node:fs";
import { isatty } from "node:tty";
import type { LogWriter } from "../log.ts";

/** Writing to the terminal, or to whatever the standard streams are. */

const STDOUT = 1;
const LINE_BREAK = Buffer.from("\n");
/** Bytes that a log reader has not taken yet; past this, lines are dropped and counted rather than kept in memory. */
const MAX_BACKLOG = 4 * 1024 * 1024;
/** A reader who is slow gets so long for the last lines. */
const LAST_LINES_MS = 1_000;

/** Writes all of the bytes and calls back, perhaps at once; after an error, with how many of them were written. */
export type Send = (
  bytes: Uint8Array,
  done: (error: NodeJS.ErrnoException | null, written: number) => void,
) => void;

export interface Output {
  write: LogWriter;
  /** Waits until everything is written, as far as somebody takes it. */
  finish(): Promise<void>;
}

/** A writer to standard output that neither blocks the process nor grows without bound when nobody reads. */
export function createOutput(
  send: Send = fstatSync(STDOUT).isFile() || isatty(STDOUT) ? sendFromThread : createStreamSend(),
): Output {
  let backlog: Uint8Array[] = [];
  let backlogBytes = 0;
  let dropped = 0;
  let busy = false;
  let closed = false;
  /** Whether what was written last ends within a line. */
  let torn = false;
  let onIdle = (): void => {};

  const begin = (bytes: Uint8Array, taken: () => void): void => {
    busy = true;
    // What a full disk cut off must not spoil the next line too.
    const whole = torn ? Buffer.concat([LINE_BREAK, bytes]) : bytes;
    send(whole, (error, written) => {
      busy = false;
      if (written > 0) torn = whole[written - 1] !== LINE_BREAK[0];
      taken();
      if (error === null) writeBacklog();
      else fail(error, whole.length - written);
      if (!busy) onIdle();
    });
  };

  /** The reader has gone: a daemon goes on without its log. A full disk may have room again later. */
  const fail = ({ code }: NodeJS.ErrnoException, bytes: number): void => {
    if (code === "EPIPE") closed = true;
    dropped += bytes + backlogBytes;
    backlog = [];
    backlogBytes = 0;
  };

  const writeBacklog = (): void => {
    if (dropped > 0) {
      const line = `{"level":"warn","time":${Date.now()},"msg":"log lines dropped","bytes":${dropped}}\n`;
      backlog.push(Buffer.from(line));
    }
    dropped = 0;
    if (backlog.length === 0) return;
    const bytes = Buffer.concat(backlog);
    backlog = [];
    backlogBytes = 0;
    begin(bytes, () => {});
  };

  return {
    write(bytes, taken) {
      if (closed) return taken();
      if (!busy) return begin(bytes, taken);
      if (backlogBytes + bytes.length > MAX_BACKLOG) dropped += bytes.length;
      else {
        backlog.push(Buffer.from(bytes));
        backlogBytes += bytes.length;
      }
      taken();
    },
    async finish() {
      if (!busy) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, LAST_LINES_MS);
        onIdle = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    },
  };
}

/** A file takes everything, but not for nothing, and a stopped terminal makes wait: that is left to a thread of the runtime's. */
function sendFromThread(bytes: Uint8Array, done: Parameters<Send>[1], from = 0): void {
  write(STDOUT, bytes, from, bytes.length - from, null, (error, written) => {
    const to = error ? from : from + written;
    if (error || to === bytes.length) done(error, to);
    else sendFromThread(bytes, done, to);
  });
}

/** A pipe takes what its reader has room for; the rest is written as the reader goes on. */
function createStreamSend(): Send {
  const sink = Bun.stdout.writer();
  return (bytes, done) => {
    try {
      const outcomes: unknown[] = [sink.write(bytes), sink.flush()];
      if (outcomes.some((outcome) => outcome instanceof Promise)) {
        Promise.all(outcomes).then(
          () => done(null, bytes.length),
          (error) => done(error, 0),
        );
      } else done(null, bytes.length);
    } catch (error) {
      done(error as NodeJS.ErrnoException, 0);
    }
  };
}

const CODES = { bold: "1", dim: "2", red: "31", green: "32", yellow: "33" } as const;

/** Colour on a terminal, plain text elsewhere and with NO_COLOR (https://no-color.org). */
export function paint(style: keyof typeof CODES, text: string): string {
  return process.stdout.isTTY && !process.env["NO_COLOR"] ? `\u001b[${CODES[style]}m${text}\u001b[0m` : text;
}

/** Text that others chose, made safe for a terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, "?");
}
