import type { UnixSocketListener } from "bun";
import { AppError } from "../errors.ts";
import { createAcks } from "./acks.ts";
import { createBackPressure } from "./back-pressure.ts";
import { type BatchReaderOptions, createBatchReader } from "./batch.ts";
import { type Client, type Connection, createClient } from "./client.ts";
import { createGroupCommit, type GroupCommitOptions } from "./group-commit.ts";
import { checkSocketPath, placeSocket } from "./socket-file.ts";

export interface IngestOptions
  extends Omit<BatchReaderOptions, "acks">,
    Pick<GroupCommitOptions, "store" | "whenDurable"> {
  path: string;
  mode: number;
  maxConnections: number;
  /** Whether no file descriptor is left for anything else. */
  isShort: () => boolean;
  /** A connection was turned away, for that or for being one too many. */
  onTurnedAway: () => void;
  /** Has all that was stored so far on disk, here and now, and calls back whoever waits for that. */
  makeDurable: () => void;
}

export interface IngestServer {
  start(): Promise<void>;
  /** Stops reading, answers what was read, and closes. */
  stop(): Promise<void>;
  connections(): number;
}

/** Who last sent less than this at once goes on while those who send much wait. */
const LIGHT_BYTES = 16 * 1024;

export function createIngestServer(options: IngestOptions): IngestServer {
  const acks = createAcks();
  /** The one that was heard of last comes last, so that after a pause the others are read first. */
  const clients = new Set<Connection>();
  const waiting = new Set<Connection>();
  let stopped = false;
  let listener: UnixSocketListener<Client> | null = null;
  let removeFile = (): void => {};

  // ── connections ───────────────────────────────────────────────────────────────────────────────────

  const open = (socket: Connection): void => {
    socket.data = createClient();
    if (clients.size >= options.maxConnections) {
      turnAway(socket, `too many connections (at most ${options.maxConnections})`);
      return;
    }
    if (options.isShort()) {
      turnAway(socket, "no file descriptor is left");
      return;
    }
    clients.add(socket);
    pressure.regulate(socket);
  };

  const turnAway = (socket: Connection, why: string): void => {
    refuse(socket, `${why}; try again later`);
    options.onTurnedAway();
  };

  const refuse = (socket: Connection, message: string): void => {
    forget(socket);
    socket.write(acks.refused(new AppError("UNAVAILABLE", message)));
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
    pressure.forget(socket);
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

  const fail = (error: Error): void => {
    // Bun reports what our own handlers throw here too; a scanner that has gone is no fault of ours.
    if (!("syscall" in error || "errno" in error)) options.onFault(error);
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
    pressure.account(socket, servable);
    clients.delete(socket);
    clients.add(socket);
    if (servable) {
      waiting.add(socket);
      commit.schedule();
    }
    pressure.regulate(socket);
    pressure.relieve();
  };

  // ── acks out ──────────────────────────────────────────────────────────────────────────────────────

  const answer = (socket: Connection, text: string): void => {
    const client = socket.data;
    if (client.closed) {
      if (waiting.has(socket)) pressure.account(socket, true);
      else letGo(socket);
      return;
    }
    if (client.unsent) {
      client.unsent = Buffer.concat([client.unsent, Buffer.from(text)]);
      noteSent(socket, false);
      return;
    }
    send(socket, text);
    noteSent(socket, true);
  };

  /** Answers whether anything was taken. Acks are ASCII, so that characters and bytes are the same. */
  const send = (socket: Connection, text: string | Buffer): boolean => {
    const written = socket.write(text);
    if (written < 0) {
      // The scanner has gone; who is paused would not be told otherwise.
      socket.data.unsent = null;
      lose(socket);
      socket.terminate();
      return false;
    }
    // A copy, as the rest of a long text would keep the whole of it.
    socket.data.unsent = written < text.length ? Buffer.from(text.slice(written) as string) : null;
    return written > 0;
  };

  const drain = (socket: Connection): void => {
    const { unsent, closed } = socket.data;
    if (closed || !unsent) return;
    noteSent(socket, send(socket, unsent));
  };

  /** Draws the consequences of what was sent. */
  const noteSent = (socket: Connection, progressed: boolean): void => {
    const { closed, splitter, unsent } = socket.data;
    if (closed) return;
    if (unsent) waiting.delete(socket);
    else if (splitter.ready) {
      waiting.add(socket);
      commit.schedule();
    }
    pressure.account(socket, progressed);
    pressure.regulate(socket);
    hangUp(socket);
  };

  const pressure = createBackPressure({ clients, refuse });
  const commit = createGroupCommit({
    ...options,
    waiting,
    acks,
    reader: createBatchReader({ ...options, acks }),
    queued: () => pressure.queued,
    // More can be read of it meanwhile.
    onTaken: (socket) => pressure.account(socket, true),
    onAnswer: answer,
    onMoved: pressure.relieve,
  });

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
    async stop() {
      listener?.stop(false);
      removeFile();
      for (const socket of clients)
        if (socket.data.ended && socket.data.splitter.unfinished) finishLine(socket);
      stopped = true;
      await commit.finish();
      options.makeDurable();
      for (const socket of clients) socket.end();
    },
    connections: () => clients.size,
  };
}
