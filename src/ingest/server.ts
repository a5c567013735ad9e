import type { Socket, UnixSocketListener } from "bun";
import { AppError, type ErrorCode } from "../errors.ts";
import { ackError, type Batch, storeBatch, withoutStored } from "./batch.ts";
import { MAX_LINE_BYTES } from "./decode-line.ts";
import { createHoldings } from "./holdings.ts";
import { createLineSplitter, type LineSplitter } from "./line-splitter.ts";
import type { ScanEvent } from "./scan-event.ts";
import { checkSocketPath, placeSocket } from "./socket-file.ts";

/** What became of one stored event. */
export interface StoredScan {
  /** As the outside sees it. */
  id: string;
  deliveries: number;
  duplicate: boolean;
}

/** A scan event whose organization is known. */
export interface IngestEvent {
  scan: ScanEvent;
  organization: IngestOrganization;
  receivedAt: number;
}

export interface IngestOrganization {
  id: number;
  uuid: string;
  hasAlerts: boolean;
}

export interface IngestOptions {
  path: string;
  mode: number;
  maxConnections: number;
  /** Whether no file descriptor is left for anything else. */
  isShort: () => boolean;
  /** A connection was turned away, for that or for being one too many. */
  onTurnedAway: () => void;
  now: () => number;
  /** Finds the organization of an event; throws AppError. */
  organization: (uuid: string | null) => IngestOrganization;
  /** Stores a batch in one transaction and answers for each; throws when none could be stored. */
  store: (batch: readonly IngestEvent[]) => readonly StoredScan[];
  /** Calls back, in the order of the calls, once all that was stored so far is on disk; with an error when it may not be. */
  whenDurable: (done: (error: Error | null) => void) => void;
  /** Has that done here and now. */
  makeDurable: () => void;
  /** A line was answered with this error code. */
  onRefused: (code: ErrorCode) => void;
  /** A line is forgotten, as the connection ended amid it: only who closes its side in order after a whole one has said all of it. */
  onCutOff: () => void;
  /** A fault of ours. */
  onFault: (error: unknown) => void;
}

export interface IngestServer {
  start(): Promise<void>;
  /** Stops reading, answers what was read, and closes. */
  stop(): void;
  connections(): number;
}

interface Client {
  splitter: LineSplitter;
  /** Batches with lines of it that wait for the disk. */
  unanswered: number;
  /** Acks that the scanner has not taken yet; until it has, its next lines wait. */
  unsent: Buffer | null;
  paused: boolean;
  /** Sends much at once; so is anyone taken to until known better. */
  heavy: boolean;
  /** The scanner has said that it sends no more; it may still read its acks. */
  ended: boolean;
  closed: boolean;
}

type Connection = Socket<Client>;

/** A connection with this many bytes waiting is not read from. */
const MAX_UNREAD = 256 * 1024;
/** Lines of all connections that wait for their turn: past the first limit those who send much are not read from, past the second nobody is. */
const QUEUED_BYTES_LIMITS = [256 * 1024, 4 * 1024 * 1024] as const;
/** Who last sent less than this at once goes on while those who send much wait. */
const LIGHT_BYTES = 16 * 1024;
/** Lines that were read and whose answers wait for the disk; past this, no more are stored. */
const MAX_UNANSWERED_LINES = 8 * 1024;
/** While more lines than a few wait for the disk, a transaction must be worth it: less is stored with what comes until then. */
const FEW_LINES = 64;
const WORTH_STORING_BYTES = 16 * 1024;
/** Unfinished lines and acks that nobody reads; past this, the connection that has not moved for longest is closed. */
const MAX_STUCK_BYTES = 8 * 1024 * 1024;

export function createIngestServer(options: IngestOptions): IngestServer {
  /** The one that was heard of last comes last, so that after a pause the others are read first. */
  const clients = new Set<Connection>();
  /** Connections with lines to take, in the order in which they are served. */
  const waiting = new Set<Connection>();
  const holdings = createHoldings<Connection>();
  /** How many of QUEUED_BYTES_LIMITS are exceeded. */
  let pressure = 0;
  let unanswered = 0;
  let scheduled = false;
  let stopped = false;
  let listener: UnixSocketListener<Client> | null = null;
  let removeFile = (): void => {};

  // ── connections ───────────────────────────────────────────────────────────────────────────────────

  const open = (socket: Connection): void => {
    socket.data = {
      splitter: createLineSplitter(MAX_LINE_BYTES),
      unanswered: 0,
      unsent: null,
      paused: false,
      heavy: true,
      ended: false,
      closed: false,
    };
    if (clients.size >= options.maxConnections) {
      turnAway(socket, `too many connections (at most ${options.maxConnections})`);
      return;
    }
    if (options.isShort()) {
      turnAway(socket, "no file descriptor is left");
      return;
    }
    clients.add(socket);
    regulate(socket);
  };

  const turnAway = (socket: Connection, why: string): void => {
    refuse(socket, `${why}; try again later`);
    options.onTurnedAway();
  };

  const refuse = (socket: Connection, message: string): void => {
    forget(socket);
    socket.write(ackError(new AppError("UNAVAILABLE", message)));
    socket.end();
  };

  /** The connection is gone. */
  const lose = (socket: Connection): void => {
    const { closed, splitter } = socket.data;
    if (!closed && splitter.unfinished) options.onCutOff();
    forget(socket);
  };

  const forget = (socket: Connection): void => {
    const client = socket.data;
    client.closed = true;
    clients.delete(socket);
    // Lines that came whole are stored although nobody waits for their acks; unless acks were left unread before.
    if (client.unsent || !client.splitter.ready) waiting.delete(socket);
    if (!waiting.has(socket)) letGo(socket);
  };

  const letGo = (socket: Connection): void => {
    holdings.forget(socket);
    socket.data.splitter.clear();
  };

  const end = (socket: Connection): void => {
    socket.data.ended = true;
    // One that is closed altogether, by a kill for instance, is said to have ended too: its close comes right after.
    if (socket.data.splitter.unfinished) setImmediate(finishLine, socket);
    else hangUp(socket);
  };

  /** A whole line counts without its newline when nothing can follow; whoever sent it still reads its ack. */
  const finishLine = (socket: Connection): void => {
    const { closed, splitter } = socket.data;
    if (closed || stopped) return;
    splitter.finish();
    takeUp(socket);
  };

  /** Closes a connection that has nothing more to say once everything is answered. */
  const hangUp = (socket: Connection): void => {
    const { ended, splitter, unanswered, unsent, closed } = socket.data;
    if (!ended || closed || splitter.ready || splitter.unfinished) return;
    if (unanswered === 0 && !unsent) socket.end();
  };

  // ── back-pressure ─────────────────────────────────────────────────────────────────────────────────

  /** Counts what a connection makes us hold now. */
  const account = (socket: Connection, progressed: boolean): void => {
    const { splitter, unsent } = socket.data;
    const bytes = splitter.unread + splitter.partial + (unsent?.length ?? 0);
    const stuck = unsent !== null || !splitter.ready;
    holdings.note(socket, stuck ? { queued: 0, stuck: bytes } : { queued: bytes, stuck: 0 }, progressed);
  };

  /** Reads from a connection, or stops reading, as things are. */
  const regulate = (socket: Connection): void => {
    const client = socket.data;
    if (client.closed) return;
    // Who does not read acks is not read from either.
    const mustWait = client.heavy ? pressure > 0 : pressure > 1;
    const pause = mustWait || client.unsent !== null || client.splitter.unread >= MAX_UNREAD;
    if (pause === client.paused) return;
    client.paused = pause;
    if (pause) socket.pause();
    else socket.resume();
  };

  /** Keeps memory bounded whatever the scanners do. */
  const relieve = (): void => {
    while (holdings.stuck > MAX_STUCK_BYTES) {
      const socket = holdings.longestStuck();
      if (!socket) break;
      const why = socket.data.unsent ? "acks were not read" : "a line was not finished";
      refuse(socket, `${why} while too many wait for the same; connect again`);
    }
    const before = pressure;
    // A limit holds until half of it is worked off, so that pausing and going on do not alternate.
    pressure = QUEUED_BYTES_LIMITS.filter(
      (limit, i) => holdings.queued > (i < before ? limit / 2 : limit),
    ).length;
    if (pressure === before) return;
    for (const socket of clients) regulate(socket);
  };

  // ── lines in ──────────────────────────────────────────────────────────────────────────────────────

  const receive = (socket: Connection, chunk: Buffer): void => {
    const client = socket.data;
    if (client.closed || stopped) return;
    client.splitter.push(chunk);
    client.heavy = chunk.length >= LIGHT_BYTES;
    takeUp(socket);
  };

  /** Has the lines that are there served, and sees to what they hold. */
  const takeUp = (socket: Connection): void => {
    const { splitter, unsent } = socket.data;
    const servable = splitter.ready && !unsent;
    account(socket, servable);
    clients.delete(socket);
    clients.add(socket);
    if (servable) {
      waiting.add(socket);
      schedule();
    }
    regulate(socket);
    relieve();
  };

  const schedule = (): void => {
    if (scheduled || stopped || waiting.size === 0 || mustWait()) return;
    scheduled = true;
    setImmediate(flush);
  };

  /** Whether lines are better left until the disk has what was stored before. */
  const mustWait = (): boolean =>
    unanswered >= MAX_UNANSWERED_LINES || (unanswered >= FEW_LINES && holdings.queued < WORTH_STORING_BYTES);

  const flush = (): void => {
    scheduled = false;
    const batch = storeBatch(waiting, options);
    if (batch.stored === 0 && unanswered === 0) answer(batch, null);
    else answerLater(batch);
    relieve();
    schedule();
  };

  // ── acks out ──────────────────────────────────────────────────────────────────────────────────────

  /** Answers once all that the acks say is on disk; never out of order. */
  const answerLater = (batch: Batch<Connection>): void => {
    unanswered += batch.lines;
    for (const socket of batch.acks.keys()) {
      socket.data.unanswered += 1;
      // Its lines no longer wait for their turn, so that more can be read meanwhile.
      account(socket, true);
    }
    options.whenDurable((error) => {
      unanswered -= batch.lines;
      for (const socket of batch.acks.keys()) socket.data.unanswered -= 1;
      if (error) {
        options.onFault(error);
        for (let n = 0; n < batch.stored; n += 1) options.onRefused("UNAVAILABLE");
      }
      answer(batch, error);
      relieve();
      schedule();
    });
  };

  const answer = ({ acks }: Batch<Connection>, error: Error | null): void => {
    for (const [socket, text] of acks) answerOne(socket, error ? withoutStored(text) : text);
  };

  const answerOne = (socket: Connection, acks: string): void => {
    const client = socket.data;
    if (client.closed) {
      if (waiting.has(socket)) account(socket, true);
      else letGo(socket);
      return;
    }
    if (client.unsent) {
      client.unsent = Buffer.concat([client.unsent, Buffer.from(acks)]);
      settle(socket, false);
      return;
    }
    send(socket, acks);
    settle(socket, true);
  };

  /** Answers whether anything was taken. Acks are ASCII, so that characters and bytes are the same. */
  const send = (socket: Connection, acks: string | Buffer): boolean => {
    const written = socket.write(acks);
    if (written < 0) {
      // The scanner has gone; who is paused would not be told otherwise.
      socket.data.unsent = null;
      lose(socket);
      socket.terminate();
      return false;
    }
    // A copy, as the rest of a long text would keep the whole of it.
    socket.data.unsent = written < acks.length ? Buffer.from(acks.slice(written) as string) : null;
    return written > 0;
  };

  const drain = (socket: Connection): void => {
    const { unsent, closed } = socket.data;
    if (closed || !unsent) return;
    settle(socket, send(socket, unsent));
  };

  /** Draws the consequences of what was sent. */
  const settle = (socket: Connection, progressed: boolean): void => {
    const { closed, splitter, unsent } = socket.data;
    if (closed) return;
    if (unsent) waiting.delete(socket);
    else if (splitter.ready) {
      waiting.add(socket);
      schedule();
    }
    account(socket, progressed);
    regulate(socket);
    hangUp(socket);
  };

  const fail = (error: Error): void => {
    // Bun reports what our own handlers throw here too; a scanner that has gone is no fault of ours.
    if (!("syscall" in error || "errno" in error)) options.onFault(error);
  };

  return {
    async start() {
      await checkSocketPath(options.path);
      removeFile = placeSocket(options.path, options.mode, (path) => {
        listener = Bun.listen<Client>({
          unix: path,
          allowHalfOpen: true,
          socket: {
            open,
            end,
            data: receive,
            drain,
            close: lose,
            error: (_socket, error) => fail(error),
          },
        });
      });
    },
    stop() {
      listener?.stop(false);
      removeFile();
      for (const socket of clients)
        if (socket.data.ended && socket.data.splitter.unfinished) finishLine(socket);
      stopped = true;
      while (waiting.size > 0) flush();
      options.makeDurable();
      for (const socket of clients) socket.end();
    },
    connections: () => clients.size,
  };
}
