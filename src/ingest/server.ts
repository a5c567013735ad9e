import type { Socket, UnixSocketListener } from "bun";
import { AppError, type ErrorCode } from "../errors.ts";
import { decodeLine, MAX_LINE_BYTES } from "./decode-line.ts";
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
  now: () => number;
  /** Finds the organization of an event; throws AppError. */
  organization: (uuid: string | null) => IngestOrganization;
  /** Stores a batch in one durable transaction and answers for each; throws when none could be stored. */
  store: (batch: readonly IngestEvent[]) => readonly StoredScan[];
  /** A line was answered with this error code. */
  onRefused: (code: ErrorCode) => void;
  /** A fault of ours. */
  onFault: (error: unknown) => void;
}

export interface IngestServer {
  start(): Promise<void>;
  /** Stops reading, answers what was read, and closes. */
  stop(): void;
  connections(): number;
}

/** A line that was read: either an event to store or the refusal to answer with. */
type Entry = IngestEvent | string;

interface Client {
  splitter: LineSplitter;
  entries: Entry[];
  /** Acks that the scanner has not taken yet. */
  unsent: Buffer | null;
  paused: boolean;
  /** The scanner has said that it sends no more; it may still read its acks. */
  ended: boolean;
  closed: boolean;
  /** Bytes of an unfinished line, as counted in the sum over all connections. */
  held: number;
}

/** Lines of one transaction. Larger ones are hardly faster, but would hold up everything else for longer. */
const MAX_BATCH = 1024;
/** A connection with this many lines waiting is not read from. */
const MAX_WAITING = 1024;
/** Unfinished lines of all connections together may take this much memory. */
const MAX_HELD_BYTES = 32 * 1024 * 1024;

const UNAVAILABLE = ackError(new AppError("UNAVAILABLE", "the event cannot be stored now; send it again"));

export function createIngestServer(options: IngestOptions): IngestServer {
  const clients = new Set<Socket<Client>>();
  /** Connections with lines waiting, in the order in which they are served. */
  const waiting = new Set<Socket<Client>>();
  let heldBytes = 0;
  let scheduled = false;
  let listener: UnixSocketListener<Client> | null = null;
  let removeFile = (): void => {};

  const open = (socket: Socket<Client>): void => {
    socket.data = {
      splitter: createLineSplitter(MAX_LINE_BYTES),
      entries: [],
      unsent: null,
      paused: false,
      ended: false,
      closed: false,
      held: 0,
    };
    if (clients.size >= options.maxConnections) {
      refuse(socket, `too many connections (at most ${options.maxConnections}); try again later`);
      return;
    }
    clients.add(socket);
  };

  const refuse = (socket: Socket<Client>, message: string): void => {
    socket.data.closed = true;
    socket.write(ackError(new AppError("UNAVAILABLE", message)));
    socket.end();
  };

  const receive = (socket: Socket<Client>, chunk: Buffer): void => {
    const client = socket.data;
    if (client.closed) return;
    const receivedAt = options.now();
    client.splitter.push(chunk, (line) => client.entries.push(read(line, receivedAt)));
    heldBytes += client.splitter.held - client.held;
    client.held = client.splitter.held;
    if (heldBytes > MAX_HELD_BYTES && client.held > 0) {
      forget(socket);
      refuse(socket, "too many unfinished lines are being held; send whole lines");
      return;
    }
    if (client.entries.length === 0) return;
    waiting.add(socket);
    if (client.entries.length >= MAX_WAITING) pause(socket);
    schedule();
  };

  const read = (line: Buffer | null, receivedAt: number): Entry => {
    try {
      const scan = decodeLine(line, receivedAt);
      return { scan, organization: options.organization(scan.organizationId), receivedAt };
    } catch (error) {
      if (error instanceof AppError) {
        options.onRefused(error.code);
        return ackError(error);
      }
      options.onFault(error);
      return UNAVAILABLE;
    }
  };

  const pause = (socket: Socket<Client>): void => {
    if (socket.data.paused) return;
    socket.data.paused = true;
    socket.pause();
  };

  const end = (socket: Socket<Client>): void => {
    socket.data.ended = true;
    hangUp(socket);
  };

  /** Closes a connection that has nothing more to say once everything is answered. */
  const hangUp = (socket: Socket<Client>): void => {
    const { ended, entries, unsent, closed } = socket.data;
    if (ended && !closed && entries.length === 0 && !unsent) socket.end();
  };

  /** Reads on once the scanner has taken its acks and its lines are not piling up. */
  const resume = (socket: Socket<Client>): void => {
    const { paused, unsent, entries, closed } = socket.data;
    if (!paused || closed || unsent || entries.length >= MAX_WAITING) return;
    socket.data.paused = false;
    socket.resume();
  };

  const schedule = (): void => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(flush);
  };

  /** Takes lines from every connection in turn, stores them in one transaction and answers. */
  const flush = (): void => {
    scheduled = false;
    const taken = takeBatch();
    const events: IngestEvent[] = [];
    for (const [, entries] of taken)
      for (const entry of entries) if (typeof entry !== "string") events.push(entry);
    const stored = storeBatch(events);
    let next = 0;
    for (const [socket, entries] of taken) {
      let acks = "";
      for (const entry of entries) acks += typeof entry === "string" ? entry : ackOf(stored?.[next++]);
      answer(socket, acks);
    }
    if (waiting.size > 0) schedule();
  };

  const takeBatch = (): [Socket<Client>, Entry[]][] => {
    const taken: [Socket<Client>, Entry[]][] = [];
    let room = MAX_BATCH;
    const share = Math.max(1, Math.floor(MAX_BATCH / Math.max(1, waiting.size)));
    for (const socket of waiting) {
      if (room <= 0) break;
      const { entries } = socket.data;
      const count = Math.min(room, share);
      const part = entries.length <= count ? entries : entries.slice(0, count);
      socket.data.entries = entries.length <= count ? [] : entries.slice(count);
      room -= part.length;
      taken.push([socket, part]);
      waiting.delete(socket);
      if (socket.data.entries.length > 0) waiting.add(socket);
    }
    return taken;
  };

  const storeBatch = (events: readonly IngestEvent[]): readonly StoredScan[] | null => {
    if (events.length === 0) return [];
    try {
      return options.store(events);
    } catch (error) {
      options.onFault(error);
      for (const _ of events) options.onRefused("UNAVAILABLE");
      return null;
    }
  };

  const answer = (socket: Socket<Client>, acks: string): void => {
    const client = socket.data;
    if (client.closed) return;
    if (client.unsent) client.unsent = Buffer.concat([client.unsent, Buffer.from(acks)]);
    else send(socket, Buffer.from(acks));
    resume(socket);
    hangUp(socket);
  };

  const send = (socket: Socket<Client>, bytes: Buffer): void => {
    const written = Math.max(0, socket.write(bytes));
    socket.data.unsent = written < bytes.length ? bytes.subarray(written) : null;
    // Who does not read acks is not read from either.
    if (socket.data.unsent) pause(socket);
  };

  const drain = (socket: Socket<Client>): void => {
    const { unsent, closed } = socket.data;
    if (closed || !unsent) return;
    send(socket, unsent);
    resume(socket);
    hangUp(socket);
  };

  const forget = (socket: Socket<Client>): void => {
    const client = socket.data;
    clients.delete(socket);
    heldBytes -= client.held;
    client.held = 0;
    client.closed = true;
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
            close: forget,
            error: (_socket, error) => options.onFault(error),
          },
        });
      });
    },
    stop() {
      listener?.stop(false);
      removeFile();
      while (waiting.size > 0) flush();
      for (const socket of clients) socket.end();
    },
    connections: () => clients.size,
  };
}

function ackOf(stored: StoredScan | undefined): string {
  if (!stored) return UNAVAILABLE;
  const { id, deliveries, duplicate } = stored;
  return `{"ok":true,"id":"${id}","deliveries":${deliveries}${duplicate ? ',"duplicate":true' : ""}}\n`;
}

function ackError({ code, message }: AppError): string {
  return `${JSON.stringify({ ok: false, error: { code, message } })}\n`;
}
