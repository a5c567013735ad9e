import { statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { UsageError } from "../errors.ts";
import { linesOf, openInput } from "./input.ts";
import { OutputError, print } from "./results.ts";

const EXIT_REFUSED = 1;
const EXIT_NO_DAEMON = 3;

/** Lines in flight: enough to keep the daemon's batches full, few enough to hold in memory. */
const MAX_UNACKED = 4_096;

/** Feeds lines to the socket and prints each ack, until the input ends or the daemon goes; the answer is the exit code. */
export async function send(socketPath: string, file: string | undefined): Promise<number> {
  const { input, size } = await openInput(file);
  const session = createSession(await open(socketPath), size);
  let isAllRead = false;
  const feed = async (): Promise<void> => {
    for await (const lines of linesOf(input)) {
      if (!(await session.push(lines))) return;
    }
    isAllRead = true;
  };
  // Input may be idle for hours: that the daemon has gone is told at once, not at the next line.
  await Promise.race([feed(), session.closed, session.unreadable]);
  const result = await Promise.race([session.end(), session.unreadable]);
  const { sent, refused, answered, milliseconds } = result;
  const rate = Math.round(answered / Math.max(0.001, milliseconds / 1000));
  console.error(
    `${answered} answered, ${refused} refused, ${sent - answered} unanswered, in ${(milliseconds / 1000).toFixed(1)} s (${rate}/s)`,
  );
  if (!isAllRead || answered < sent) {
    console.error(`armorhooks: ${closingOf(result, isAllRead)}`);
    return EXIT_NO_DAEMON;
  }
  return refused > 0 ? EXIT_REFUSED : 0;
}

/** What is lost with the connection. Acks come in the order of the lines, so that a count says where to go on. */
function closingOf({ sent, unsent, answered }: Result, isAllRead: boolean): string {
  const unanswered = `${sent - answered} lines were not answered`;
  const advice = `send all after the first ${answered} again (with an id, repeats are recognised)`;
  if (isAllRead) return `the daemon closed the connection: ${unanswered}; ${advice}`;
  return `the daemon closed the connection before the input ended: ${unanswered}, ${unsent} that were read were not sent; ${advice}`;
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

interface Result {
  sent: number;
  /** Lines that were read and wait to be sent. */
  unsent: number;
  /** Of the lines sent, with their newlines. */
  bytes: number;
  answered: number;
  refused: number;
  milliseconds: number;
}

interface Session {
  /** Sends lines, waiting while the acks of too many are not printed; false when the daemon has gone. */
  push(lines: readonly Buffer[]): Promise<boolean>;
  /** Waits until every ack that comes has been printed. */
  end(): Promise<Result>;
  /** Resolves when the daemon has closed the connection, which ends its acks. */
  closed: Promise<void>;
  /** Rejects with OutputError when an ack cannot be printed. */
  unreadable: Promise<never>;
}

const NEWLINE = Buffer.from("\n");

function createSession(socket: Socket, size: number | null): Session {
  const started = performance.now();
  const result: Result = { sent: 0, unsent: 0, bytes: 0, answered: 0, refused: 0, milliseconds: 0 };
  const progress = createProgress(result, size);
  let isClosed = false;
  let wake: (() => void) | null = null;
  let acks = "";
  /** Ends when all acks so far are printed. */
  let printed: Promise<void> = Promise.resolve();
  const { promise: unreadable, reject } = Promise.withResolvers<never>();
  const { promise: closed, resolve: resolveClosed } = Promise.withResolvers<void>();

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
  const close = (): void => {
    isClosed = true;
    notify();
    resolveClosed();
  };
  socket.on("end", close);
  socket.on("close", close);

  return {
    async push(lines) {
      result.unsent += lines.length;
      for (const line of lines) {
        while (!isClosed && result.sent - result.answered >= MAX_UNACKED) await changed();
        if (isClosed) return false;
        result.unsent -= 1;
        result.sent += 1;
        result.bytes += line.length + 1;
        const flowing = socket.write(Buffer.concat([line, NEWLINE]));
        if (!flowing) await changed();
      }
      return !isClosed;
    },
    async end() {
      while (!isClosed && result.answered < result.sent) await changed();
      await printed;
      socket.end();
      progress.stop();
      result.milliseconds = performance.now() - started;
      return result;
    },
    closed,
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
