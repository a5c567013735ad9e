import type { Socket } from "bun";
import { now } from "../clock.ts";
import { eventLine, type Tier } from "../event.ts";
import { steadily } from "../pace.ts";
import { offer } from "../program.ts";

/** A scanner: writes event lines to the socket, pipelined or at a steady pace, and reads every ack. */
interface Connection {
  socket: Socket<undefined>;
  /** What remains to be written. */
  unsent: Buffer;
  rest: string;
}

const WRITE_BYTES = 256 * 1024;
const EMPTY = Buffer.alloc(0);
let connections: Connection[] = [];
let buffers: Buffer[] = [];
let expected = 0;
let acked = 0;
let deliveries = 0;
let refused: string[] = [];
let lastAckAt = 0;
let onAcked: (() => void) | null = null;

function pump(connection: Connection): void {
  while (connection.unsent.length > 0) {
    const part = connection.unsent.subarray(0, WRITE_BYTES);
    const written = Math.max(0, connection.socket.write(part));
    connection.unsent = connection.unsent.subarray(written);
    if (written < part.length) return;
  }
}

function receive(connection: Connection, chunk: Buffer): void {
  const lines = (connection.rest + chunk.toString("latin1")).split("\n");
  connection.rest = lines.pop() ?? "";
  for (const line of lines) {
    acked += 1;
    if (line.startsWith('{"ok":true')) deliveries += Number(/"deliveries":(\d+)/.exec(line)?.[1]);
    else refused.push(line);
  }
  if (acked < expected) return;
  lastAckAt = now();
  onAcked?.();
}

function lost(): void {
  refused.push("the connection was closed");
  onAcked?.();
}

async function connect(path: string): Promise<Connection> {
  const connection = { unsent: EMPTY, rest: "" } as Connection;
  connection.socket = await Bun.connect<undefined>({
    unix: path,
    socket: {
      data: (_socket, chunk) => receive(connection, chunk),
      drain: () => pump(connection),
      close: lost,
      error: lost,
    },
  });
  return connection;
}

function begin(lines: number): void {
  [expected, acked, deliveries, refused, lastAckAt] = [lines, 0, 0, [], 0];
}

async function allAcked(): Promise<void> {
  if (acked >= expected) return;
  await new Promise<void>((resolve) => {
    onAcked = resolve;
  });
  onAcked = null;
}

interface PrepareOptions {
  /** In turn. */
  organizationIds: readonly string[];
  count: number;
  connections: number;
  tier?: Tier;
}

const methods = {
  connect: async ({ path, count }: { path: string; count: number }): Promise<void> => {
    connections = await Promise.all(Array.from({ length: count }, () => connect(path)));
  },
  /** Writes the lines into memory, so that only sending them is timed. */
  prepare: ({ organizationIds, count, connections: shares, tier = "red" }: PrepareOptions): void => {
    // All lines are of one length.
    const turn = Buffer.from(
      organizationIds.map((organizationId) => eventLine({ organizationId, tier })).join(""),
    );
    const length = turn.length / organizationIds.length;
    const share = Math.ceil(count / shares);
    buffers = Array.from({ length: shares }, (_, i) => {
      const first = (i * share) % organizationIds.length;
      const rotated = Buffer.concat([turn.subarray(first * length), turn.subarray(0, first * length)]);
      return Buffer.alloc(Math.max(0, Math.min(share, count - i * share)) * length, rotated);
    });
    begin(count);
  },
  /** Writes everything as fast as it is taken and waits for the last ack. */
  flood: async () => {
    const startedAt = now();
    connections.forEach((connection, i) => {
      connection.unsent = buffers[i] ?? EMPTY;
      pump(connection);
    });
    await allAcked();
    return { startedAt, lastAckAt, acked, deliveries, refused: refused.slice(0, 3) };
  },
  /** Writes one line at a time, so many a second; answers when each was written. */
  steady: async (options: { organizationId: string; rate: number; count: number; tier?: Tier }) => {
    const { organizationId, rate, count, tier = "red" } = options;
    begin(count);
    const sentAt: number[] = [];
    const [connection] = connections;
    await steadily(rate, count, (sequence) => {
      const line = eventLine({ organizationId, tier, sequence });
      sentAt.push(now());
      if (connection?.socket.write(line) !== line.length) refused.push("the socket did not take a line");
    });
    await allAcked();
    return { sentAt, acked, deliveries, refused: refused.slice(0, 3) };
  },
};

export type ScannerMethods = typeof methods;
offer(methods);
