import type { Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { ok, type RawReceiverOptions } from "./raw-receiver.ts";

const MIB = 1024 * 1024;

/** Stands in whatever a receiver here sends, so that it can be looked for where it must not be. */
export const CANARY = "CANARY-of-the-receiver";
/** Escape sequences in 7 and 8 bits, line breaks, and characters that turn the reading direction. */
export const TERMINAL = `\x1b[2J\x1b]0;${CANARY}\x07\x9b31m\r\n{"level":"error","msg":"forged"}\n\u202e${CANARY}\u2066\u2028`;

/** How a receiver behaves, and how an attempt to it is to be judged. */
export interface Hostile extends RawReceiverOptions {
  name: string;
  scheme?: "https";
  status: number | null;
  error: string | null;
  /** Whether the attempt lasts as long as it may. */
  untilDeadline?: boolean;
}

type Answer = (socket: Socket) => void;

/** Sends a start, then the same bytes again and again for as long as the other side takes them. */
function pours(start: string, bytes: Buffer): Answer {
  return (socket) => {
    const more = (): void => {
      while (!socket.destroyed && socket.write(bytes));
    };
    socket.write(start, "latin1");
    socket.on("drain", more);
    more();
  };
}

/** Sends a start, then a little every so often, for ever. */
function drips(start: string, little: string): Answer {
  return (socket) => {
    socket.write(start, "latin1");
    const timer = setInterval(() => socket.write(little), 20);
    socket.on("close", () => clearInterval(timer));
  };
}

function says(text: string): Answer {
  return (socket) => socket.write(text, "latin1");
}

function saysAndEnds(text: string): Answer {
  return (socket) => socket.end(text, "latin1");
}

function saysAndResets(text: string): Answer {
  return (socket) => socket.write(text, "latin1", () => setTimeout(reset, 20, socket));
}

function reset(socket: Socket): void {
  socket.resetAndDestroy();
}

const BODY_10_GB = `HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n${CANARY}`;
const CHUNKED = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
/** 14 MB of zeros that fit into what is read of a body. */
const BOMB = gzipSync(Buffer.alloc(14 * MIB));

function bomb(socket: Socket): void {
  socket.write(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${BOMB.length}\r\n\r\n`);
  socket.write(BOMB);
}

const timeout = { status: null, error: "timeout", untilDeadline: true };
const invalid = { status: null, error: "invalid_response" };
const lost = { status: null, error: "connection_failed" };
const noTls = { scheme: "https", status: null, error: "tls_failed" } as const;
const delivered = { status: 200, error: null };
/** The status counts, and the body is waited for until the deadline. */
const slow = { ...delivered, untilDeadline: true };

/** Receivers that do to a sender what they can. */
export const HOSTILE: readonly Hostile[] = [
  { name: "never answers", ...timeout, onRequest: () => {} },
  { name: "drips its status line", ...timeout, onRequest: drips("H", "H") },
  { name: "drips its headers", ...timeout, onRequest: drips(`HTTP/1.1 200 OK\r\nx: ${CANARY}`, "y") },
  {
    name: "drips its body",
    ...slow,
    onRequest: drips("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", "y"),
  },
  { name: "drips its chunks", ...slow, onRequest: drips(CHUNKED, "1\r\ny\r\n") },
  { name: "drips after an interim response", ...timeout, onRequest: drips("HTTP/1.1 100 x\r\n\r\n", "H") },
  { name: "hangs in the TLS handshake", ...timeout, scheme: "https" },
  {
    name: "drips the TLS handshake",
    ...timeout,
    scheme: "https",
    onConnection: drips("\x16\x03\x03\x3f\x00\x02\x00\x3e\x00\x03\x03", "y"),
  },
  { name: "speaks plain HTTP where TLS is due", ...noTls, onConnection: says(ok(CANARY)) },
  {
    name: "resets in the TLS handshake",
    ...noTls,
    onConnection: (socket) => socket.once("data", () => reset(socket)),
  },
  { name: "sends a body of 10 GB", ...delivered, onRequest: pours(BODY_10_GB, Buffer.alloc(MIB, "x")) },
  {
    name: "sends chunks without end",
    ...delivered,
    onRequest: pours(CHUNKED, Buffer.from("5\r\nhello\r\n".repeat(10_000))),
  },
  { name: "sends a gzip bomb", ...delivered, onRequest: bomb },
  {
    name: "sends 1 MB of headers",
    ...invalid,
    onRequest: says(`HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(MIB / 6)}\r\n`),
  },
  {
    name: "sends one header without end",
    ...invalid,
    onRequest: pours("HTTP/1.1 200 OK\r\nx: ", Buffer.alloc(MIB, "x")),
  },
  {
    name: "sends interim responses without end",
    ...invalid,
    onRequest: pours("", Buffer.from("HTTP/1.1 102 Processing\r\n\r\n".repeat(1_000))),
  },
  {
    name: "sends trailers without end",
    ...delivered,
    onRequest: pours(`${CHUNKED}0\r\n`, Buffer.from("x: y\r\n".repeat(10_000))),
  },
  {
    name: "switches protocols",
    ...invalid,
    onRequest: says(`HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n${CANARY}`),
  },
  { name: "speaks something else", ...invalid, onRequest: says(`220 ${CANARY} ESMTP\r\n\r\n`) },
  { name: "speaks something else before it was asked", ...invalid, onConnection: says("SSH-2.0-x\r\n\r\n") },
  { name: "sends binary garbage", ...invalid, onRequest: pours("", Buffer.alloc(4096, "\x00\xff\x1b")) },
  { name: "ends inside of its headers", ...invalid, onRequest: saysAndEnds("HTTP/1.1 200 OK\r\nx: y\r\n") },
  {
    name: "sends a short body",
    ...delivered,
    onRequest: saysAndEnds("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"),
  },
  { name: "ends before the last chunk", ...delivered, onRequest: saysAndEnds(`${CHUNKED}5\r\nhello\r\n`) },
  { name: "sends chunks of junk", ...delivered, onRequest: says(`${CHUNKED}${CANARY}\r\n`) },
  {
    name: "states two lengths",
    ...delivered,
    onRequest: saysAndEnds("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!"),
  },
  {
    name: "resets after the headers",
    ...delivered,
    onRequest: saysAndResets("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
  },
  {
    name: "resets after the headers of a body without a length",
    ...delivered,
    onRequest: saysAndResets("HTTP/1.1 200 OK\r\n\r\nsome"),
  },
  { name: "closes without a word", ...lost, onRequest: (socket) => socket.end() },
  { name: "resets without a word", ...lost, onRequest: reset },
  { name: "closes at once", ...lost, onConnection: (socket) => socket.destroy() },
  {
    name: "redirects to itself",
    status: 302,
    error: "http_status",
    onRequest: (socket, request) =>
      void socket.write(
        `HTTP/1.1 302 Found\r\nlocation: http://${/host: (\S+)/i.exec(request)?.[1]}/again\r\ncontent-length: 0\r\n\r\n`,
      ),
  },
  {
    name: "redirects with 308",
    status: 308,
    error: "http_status",
    onRequest: says("HTTP/1.1 308 x\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n"),
  },
  { name: "answers 204", status: 204, error: null, onRequest: says("HTTP/1.1 204 No Content\r\n\r\n") },
  {
    name: "answers 204 with a length",
    status: 204,
    error: null,
    onRequest: says("HTTP/1.1 204 x\r\ncontent-length: 5\r\n\r\n"),
  },
  {
    name: "answers 304",
    status: 304,
    error: "http_status",
    onRequest: says("HTTP/1.1 304 Not Modified\r\ncontent-length: 1000\r\n\r\n"),
  },
  {
    name: "answers 999",
    status: 999,
    error: "http_status",
    onRequest: says("HTTP/1.1 999 x\r\ncontent-length: 0\r\n\r\n"),
  },
  { name: "speaks HTTP/1.0", ...delivered, onRequest: saysAndEnds("HTTP/1.0 200 OK\r\n\r\nok") },
  { name: "answers before it was asked", ...delivered, onConnection: says(ok()), onRequest: () => {} },
  { name: "sends bytes behind its answer", ...delivered, onRequest: says(`${ok()}${ok("forged")}`) },
  {
    name: "talks to the terminal",
    status: 500,
    error: "http_status",
    onRequest: (socket) =>
      void socket.write(
        `HTTP/1.1 500 \x1b[2J${CANARY}\r\nx-${CANARY}: \x1b[31m\r\nretry-after: \x1b[31m\r\n` +
          `content-length: ${Buffer.byteLength(TERMINAL)}\r\n\r\n${TERMINAL}`,
      ),
  },
  ...[
    "-1",
    "1e9",
    "1000000000",
    "99999999999999999999",
    "0",
    "soon",
    "",
    "1.5",
    "Infinity",
    "\x1b[2J",
    "5, 6",
  ].map((value) => retryAfter(value)),
  ...["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Foo, 99 Bar 2026 99:99:99 GMT"].map(
    (value) => retryAfter(value),
  ),
];

function retryAfter(value: string): Hostile {
  const text = `HTTP/1.1 503 x\r\nretry-after: ${value}\r\ncontent-length: 0\r\n\r\n`;
  return {
    name: `says Retry-After: ${JSON.stringify(value)}`,
    status: 503,
    error: "http_status",
    onRequest: says(text),
  };
}
