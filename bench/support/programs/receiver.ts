import type { Socket } from "bun";
import { now } from "../clock.ts";
import { offer } from "../program.ts";

/**
 * Receives webhooks with as little work as possible: it splits the stream by Content-Length, notes the
 * message id and answers a constant. An HTTP server in its place would be what is measured.
 */
const ANSWER = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const FAILURE = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
const FLAKY_ONE_IN = 5;
const HEAD_END = Buffer.from("\r\n\r\n");

/** Answers after so many milliseconds; or after so many for each request that it has; or takes one in so many and refuses the others; or answers 500 to one in five. */
export type Behaviour = { kind: "distant" | "loaded" | "limited" | "flaky"; milliseconds: number };

interface OpenOptions {
  ports: number;
  behaviour?: Behaviour | undefined;
  tls?: { cert: string; key: string } | undefined;
  /** A receiver that does not answer hangs: it reads everything and says nothing. */
  answers: boolean;
}

interface Expectation {
  /** Requests after which `reached` answers. */
  count: number;
  /** One request of so many is kept whole. */
  sampleEvery: number;
  /** Whether to note when the request with each `latency_ms` arrived. */
  sequences: boolean;
}

export interface Sample {
  /** Position of the port. */
  listener: number;
  request: string;
}

export interface Report {
  count: number;
  /** Different pairs of message and port. */
  distinct: number;
  /** Requests by position of the port. */
  perListener: number[];
  firstAt: number;
  lastAt: number;
  connections: number;
  handshakes: number;
  /** Requests that were not taken (429, 500); they are not counted above. */
  refused: number;
  samples: Sample[];
}

interface Client {
  listener: number;
  rest: Buffer | null;
}

const MAX_SAMPLES = 200;
let expectation: Expectation = { count: 0, sampleEvery: 0, sequences: false };
let ids: string[][] = [];
let count = 0;
let firstAt = 0;
let lastAt = 0;
let connections = 0;
let handshakes = 0;
let refused = 0;
let samples: Sample[] = [];
let sequences: number[] = [];
let arrivals: number[] = [];
let onReached: (() => void) | null = null;

/** Answers one request as a receiver would that is not ideal; answers whether it was taken. */
type Respond = (socket: Socket<Client>) => boolean;

function respondLike({ kind, milliseconds }: Behaviour): Respond {
  if (kind === "limited") {
    let takenAt = Number.NEGATIVE_INFINITY;
    return (socket) => {
      const isTaken = now() - takenAt >= milliseconds;
      if (isTaken) takenAt = now();
      socket.write(isTaken ? ANSWER : refusal(milliseconds));
      return isTaken;
    };
  }
  if (kind === "flaky") {
    let requests = 0;
    return (socket) => {
      requests += 1;
      const isTaken = requests % FLAKY_ONE_IN !== 0;
      socket.write(isTaken ? ANSWER : FAILURE);
      return isTaken;
    };
  }
  let has = 0;
  return (socket) => {
    has += 1;
    setTimeout(
      () => {
        has -= 1;
        socket.write(ANSWER);
      },
      kind === "distant" ? milliseconds : milliseconds * has,
    );
    return true;
  };
}

function refusal(milliseconds: number): string {
  return `HTTP/1.1 429 Too Many Requests\r\nretry-after: ${milliseconds / 1000}\r\ncontent-length: 0\r\n\r\n`;
}

function receive(socket: Socket<Client>, chunk: Buffer, answers: boolean, respond: Respond | null): void {
  const client = socket.data;
  const bytes = client.rest ? Buffer.concat([client.rest, chunk]) : chunk;
  let offset = 0;
  let answer = "";
  while (offset < bytes.length) {
    const headEnd = bytes.indexOf(HEAD_END, offset);
    if (headEnd < 0) break;
    const head = bytes.toString("latin1", offset, headEnd);
    const end = headEnd + 4 + Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]);
    if (end > bytes.length) break;
    const request = bytes.subarray(offset, end);
    offset = end;
    if (respond && !respond(socket)) {
      refused += 1;
      continue;
    }
    note(client.listener, head, request);
    if (!respond) answer += ANSWER;
  }
  client.rest = offset < bytes.length ? Buffer.from(bytes.subarray(offset)) : null;
  if (answers && answer !== "") socket.write(answer);
}

function note(listener: number, head: string, request: Buffer): void {
  count += 1;
  ids[listener]?.push(/\r\nwebhook-id: (\S+)/i.exec(head)?.[1] ?? "");
  if (count === 1) firstAt = now();
  if (expectation.sampleEvery > 0 && count % expectation.sampleEvery === 0 && samples.length < MAX_SAMPLES) {
    samples.push({ listener, request: request.toString() });
  }
  if (expectation.sequences) {
    sequences.push(Number(/"latency_ms":(\d+)/.exec(request.toString("latin1", head.length))?.[1]));
    arrivals.push(now());
  }
  if (count >= expectation.count) reachedAt();
}

function reachedAt(): void {
  lastAt = now();
  onReached?.();
  onReached = null;
}

function listen({ tls, answers }: OpenOptions, listener: number, respond: Respond | null): number {
  return Bun.listen<Client>({
    hostname: "127.0.0.1",
    port: 0,
    ...(tls && { tls }),
    socket: {
      open(socket) {
        connections += 1;
        socket.data = { listener, rest: null };
      },
      handshake(_socket, success) {
        if (success) handshakes += 1;
      },
      data: (socket, chunk) => receive(socket, chunk, answers, respond),
      error() {},
    },
  }).port;
}

const methods = {
  open: (options: OpenOptions): number[] => {
    ids = Array.from({ length: options.ports }, () => []);
    const { behaviour } = options;
    return ids.map((_, listener) => listen(options, listener, behaviour ? respondLike(behaviour) : null));
  },
  /** A port on which nobody listens. */
  closedPort: (): number => {
    const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    listener.stop();
    return listener.port;
  },
  expect: (next: Expectation): void => {
    expectation = next;
    ids = ids.map(() => []);
    [count, firstAt, lastAt, connections, handshakes, refused] = [0, 0, 0, 0, 0, 0];
    [samples, sequences, arrivals] = [[], [], []];
  },
  reached: (): Promise<number> => {
    if (count >= expectation.count) return Promise.resolve(lastAt);
    return new Promise((resolve) => {
      onReached = () => resolve(lastAt);
    });
  },
  report: (): Report => ({
    count,
    distinct: ids.reduce((sum, list) => sum + new Set(list).size, 0),
    perListener: ids.map((list) => list.length),
    firstAt,
    lastAt,
    connections,
    handshakes,
    refused,
    samples,
  }),
  arrivals: () => ({ sequences, at: arrivals }),
};

export type ReceiverMethods = typeof methods;
offer(methods);
