import type { Connection } from "./client.ts";
import { createHeldBytes } from "./held-bytes.ts";

/** Keeps memory bounded whatever the scanners do: who makes us hold too much is not read from, or is closed. */
export interface BackPressure {
  /** Counts what a connection makes us hold now; `progressed` when it has done its part since the last time. */
  account(socket: Connection, progressed: boolean): void;
  /** Forgets what a connection held. */
  forget(socket: Connection): void;
  /** Reads from a connection, or stops reading, as things are. */
  regulate(socket: Connection): void;
  /** Draws the consequences of what is held by all. */
  relieve(): void;
  /** Bytes of complete lines that wait for their turn. */
  readonly queued: number;
}

export interface BackPressureOptions {
  /** All connections, those that were heard of last at the end: after a pause the others are read first. */
  clients: ReadonlySet<Connection>;
  /** Closes a connection, with a sentence for the scanner. */
  refuse: (socket: Connection, message: string) => void;
}

/** A connection with this many bytes waiting is not read from. */
const MAX_UNREAD = 256 * 1024;
/** Lines of all connections that wait for their turn: past the first limit those who send much are not read from, past the second nobody is. */
const QUEUED_BYTES_LIMITS = [256 * 1024, 4 * 1024 * 1024] as const;
/** Unfinished lines and acks that nobody reads; past this, the connection that has not moved for longest is closed. */
const MAX_STUCK_BYTES = 8 * 1024 * 1024;

export function createBackPressure({ clients, refuse }: BackPressureOptions): BackPressure {
  const held = createHeldBytes<Connection>();
  /** How many of QUEUED_BYTES_LIMITS are exceeded. */
  let pressure = 0;

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

  return {
    account(socket, progressed) {
      const { splitter, unsent } = socket.data;
      const bytes = splitter.unread + splitter.partial + (unsent?.length ?? 0);
      const stuck = unsent !== null || !splitter.ready;
      held.note(socket, stuck ? { queued: 0, stuck: bytes } : { queued: bytes, stuck: 0 }, progressed);
    },
    forget: held.forget,
    regulate,
    relieve() {
      while (held.stuck > MAX_STUCK_BYTES) {
        const socket = held.longestStuck();
        if (!socket) break;
        const why = socket.data.unsent ? "acks were not read" : "a line was not finished";
        refuse(socket, `${why} while too many wait for the same; connect again`);
      }
      const before = pressure;
      // A limit holds until half of it is worked off, so that pausing and going on do not alternate.
      pressure = QUEUED_BYTES_LIMITS.filter(
        (limit, i) => held.queued > (i < before ? limit / 2 : limit),
      ).length;
      if (pressure === before) return;
      for (const socket of clients) regulate(socket);
    },
    get queued() {
      return held.queued;
    },
  };
}
