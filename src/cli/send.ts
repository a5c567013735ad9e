import { createReadStream, fstatSync, statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { messageOf, UsageError } from "../errors.ts";
import { OutputError, print } from "./results.ts";

const EXIT_REFUSED = 1;
const EXIT_NO_DAEMON = 3;

const STDIN = 0;

/** Lines in flight: enough to keep the daemon's batches full, few enough to hold in memory. */
const MAX_UNACKED = 4_096;

/** Feeds lines to the socket and prints each ack; the answer is the exit code. */
export async function send(socketPath: string, file: string | undefined): Promise<number> {
  const { input, size } = await openInput(file);
  const session = createSession(await open(socketPath), size);
  const feed = async (): Promise<Result> => {
    for await (const line of linesOf(input)) {
      if (!(await session.push(line))) break;
    }
    return session.end();
  };
  const { sent, refused, answered, milliseconds } = await Promise.race([feed(), session.unreadable]);
  const rate = Math.round(answered / Math.max(0.001, milliseconds / 1000));
  console.error(
    `${answered} answered, ${refused} refused, ${sent - answered} unanswered, in ${(milliseconds / 1000).toFixed(1)} s (${rate}/s)`,
  );
  if (answered < sent) {
    console.error(
      "armorhooks: the daemon closed the connection; send the unanswered lines again (with an id, repeats are recognised)",
    );
    return EXIT_NO_DAEMON;
  }
  return refused > 0 ? EXIT_REFUSED : 0;
}

interface Input {
  input: AsyncIterable<Buffer>;
  /** In bytes; null when it cannot be known beforehand. */
  size: number | null;
}

async function openInput(file: string | undefined): Promise<Input> {
  if (file === undefined || file === "-") {
    if (fstatSync(STDIN).isDirectory()) {
      throw new UsageError("cannot read standard input: it is a directory");
    }
    return { input: process.stdin, size: null };
  }
  const stats = statSync(file, { throwIfNoEntry: false });
  // A directory can be opened; only reading it fails.
  if (stats?.isDirectory()) throw new UsageError(`cannot read ${file}: it is a directory`);
  const input = createReadStream(file, { highWaterMark: 256 * 1024 });
  return new Promise((resolve, reject) => {
    input.once("open", () => resolve({ input, size: stats?.isFile() ? stats.size : null }));
    input.once("error", (error) => reject(new UsageError(`cannot read ${file}: ${messageOf(error)}`)));
  });
}

function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.once("connect", () => resolve(socket));
    socket.once("error", (error) => reject(new UsageError(reasonOf(path, error), EXIT_NO_DAEMON)));
  });
}

/** Why nobody can be reached at a path: whoever may not open it cannot tell whether a daemon is there. */
function reasonOf(path: string, { code, message }: NodeJS.ErrnoException): string {
  if (code === "EACCES" || code === "EPERM") {
    return `may not open the socket ${path} (${code}); run as a user who may, the daemon's or one of its group`;
  }
  if (code !== "ENOENT" && code !== "ECONNREFUSED") return `cannot connect to the socket ${path}: ${message}`;
  const fault = faultOf(path);
  if (fault !== null) return `${path} ${fault}; name the daemon's socket with --socket`;
  return `no daemon answers at ${path}; start one with "armorhooks serve", or name its --socket`;
}

/** What is at a path where there is no socket; null for one that nobody listens on, and for nothing. */
function faultOf(path: string): string | null {
  try {
    return statSync(path).isSocket() ? null : "is not a socket";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOTDIR" ? "is below what is not a directory" : null;
  }
}

const BYTE_ORDER_MARK = Buffer.from("\uFEFF");

/** Whole lines, without their newline; blank ones between events are left out, and a byte order mark before the first. */
async function* linesOf(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let isFirst = true;
  for await (const line of splitLines(input)) {
    const hasMark = isFirst && BYTE_ORDER_MARK.equals(line.subarray(0, BYTE_ORDER_MARK.length));
    const text = hasMark ? line.subarray(BYTE_ORDER_MARK.length) : line;
    isFirst = false;
    if (text.length > 0) yield text;
  }
}

async function* splitLines(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of input) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      yield bytes.subarray(start, end);
      start = end + 1;
    }
    rest = bytes.subarray(start);
  }
  if (rest.length > 0) yield rest;
}

interface Result {
  sent: number;
  /** Of the lines sent, with their newlines. */
  bytes: number;
  answered: number;
  refused: number;
  milliseconds: number;
}

interface Session {
  /** Sends one line, waiting while the acks of too many are not printed; false when the daemon has gone. */
  push(line: Buffer): Promise<boolean>;
  /** Waits until every ack that comes has been printed. */
  end(): Promise<Result>;
  /** Rejects with OutputError when an ack cannot be printed. */
  unreadable: Promise<never>;
}

const NEWLINE = Buffer.from("\n");

function createSession(socket: Socket, size: number | null): Session {
  const started = performance.now();
  const result: Result = { sent: 0, bytes: 0, answered: 0, refused: 0, milliseconds: 0 };
  const progress = createProgress(result, size);
  let closed = false;
  let wake: (() => void) | null = null;
  let acks = "";
  /** Ends when all acks so far are printed. */
  let printed: Promise<void> = Promise.resolve();
  const { promise: unreadable, reject } = Promise.withResolvers<never>();

  const notify = (): void => {
    wake?.();
    wake = null;
  };
  const changed = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
    });

  /** An ack counts once it is printed: a slow reader holds up what is sent, and is told of all of it. */
  const show = async (lines: readonly string[]): Promise<void> => {
    try {
      await print(lines.join("\n"));
    } catch (error) {
      progress.stop();
      socket.destroy();
      return reject(withCount(error, result.answered));
    }
    result.answered += lines.length;
    result.refused += lines.filter((line) => !line.startsWith('{"ok":true')).length;
    notify();
  };

  socket.setEncoding("utf8");
  socket.on("data", (text: string) => {
    const lines = (acks + text).split("\n");
    acks = lines.pop() ?? "";
    if (lines.length > 0) printed = show(lines);
  });
  socket.on("drain", notify);
  socket.on("error", notify);
  socket.on("close", () => {
    closed = true;
    notify();
  });

  return {
    async push(line) {
      while (!closed && result.sent - result.answered >= MAX_UNACKED) await changed();
      if (closed) return false;
      result.sent += 1;
      result.bytes += line.length + 1;
      const flowing = socket.write(Buffer.concat([line, NEWLINE]));
      if (!flowing) await changed();
      return !closed;
    },
    async end() {
      while (!closed && result.answered < result.sent) await changed();
      await printed;
      socket.end();
      progress.stop();
      result.milliseconds = performance.now() - started;
      return result;
    },
    unreadable,
  };
}

/** A reader that has gone is told nothing, as it wanted no more. */
function withCount(error: unknown, printed: number): unknown {
  if (!(error instanceof OutputError) || error.isQuiet) return error;
  const advice = "send the lines after those again (with an id, repeats are recognised)";
  return new UsageError(`${error.message}; ${printed} acks were printed: ${advice}`, error.exitCode);
}

const PROGRESS_MS = 200;
const BAR_WIDTH = 24;

/** A line on standard error while that is a terminal and the acks go elsewhere; with a bar when the size is known. */
function createProgress(result: Result, size: number | null): { stop(): void } {
  if (!process.stderr.isTTY || process.stdout.isTTY) return { stop: () => {} };
  const draw = (): void => {
    const { sent, answered } = result;
    process.stderr.write(`\r${barOf(result, size)}${answered} answered, ${sent - answered} waiting `);
  };
  const timer = setInterval(draw, PROGRESS_MS);
  return {
    stop: () => {
      clearInterval(timer);
      process.stderr.write("\r\u001b[K");
    },
  };
}

/** How much of the file was answered, taking its lines for equally long. */
function barOf({ sent, bytes, answered }: Result, size: number | null): string {
  if (size === null || sent === 0) return "";
  const share = Math.min(1, (bytes / Math.max(1, size)) * (answered / sent));
  return `${"█".repeat(Math.round(share * BAR_WIDTH)).padEnd(BAR_WIDTH, "░")} `;
}
