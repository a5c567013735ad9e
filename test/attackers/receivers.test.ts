import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { gzipSync } from "node:zlib";
import {
  connectScanner,
  LOOPBACK,
  type RunningDaemon,
  runCommand,
  scan,
  startDaemon,
  until,
} from "../support/daemon.ts";
import { atEnd, cleanUp, emptyDir } from "../support/e2e.ts";
import { ok, type RawReceiver, type RawReceiverOptions, startRawReceiver } from "../support/raw-receiver.ts";

const TIMEOUT_MS = 1_000;
/** What a busy machine may add before a timer fires. */
const SLACK_MS = 500;
const ATTEMPTS = 2;
const MIB = 1024 * 1024;

/** Stands in whatever a receiver here sends, so that it can be looked for where it must not be. */
const CANARY = "CANARY-of-the-receiver";
/** Escape sequences in 7 and 8 bits, line breaks, and characters that turn the reading direction. */
const TERMINAL = `\x1b[2J\x1b]0;${CANARY}\x07\x9b31m\r\n{"level":"error","msg":"forged"}\n\u202e${CANARY}\u2066\u2028`;

interface Hostile extends RawReceiverOptions {
  name: string;
  scheme?: "https";
  status: number | null;
  error: string | null;
}

/** Sends the same bytes again and again for as long as the other side takes them. */
function pour(socket: Socket, bytes: Buffer): void {
  const more = (): void => {
    while (!socket.destroyed && socket.write(bytes));
  };
  socket.on("drain", more);
  more();
}

/** Sends a byte every so often, for ever. */
function drip(socket: Socket, byte: string): void {
  const timer = setInterval(() => socket.write(byte), 20);
  socket.on("close", () => clearInterval(timer));
}

const says = (text: string) => (socket: Socket) => void socket.write(text, "latin1");
const saysAndEnds = (text: string) => (socket: Socket) => void socket.end(text, "latin1");
const saysThen = (text: string, then: (socket: Socket) => void) => (socket: Socket) => {
  socket.write(text, "latin1", () => setTimeout(then, 20, socket));
};
const reset = (socket: Socket) => void socket.resetAndDestroy();

const BODY_10_GB = `HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n${CANARY}`;
const CHUNKED = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
/** 20 MB of zeros that fit into what is read of a body. */
const BOMB = gzipSync(Buffer.alloc(14 * MIB));

function bomb(socket: Socket): void {
  socket.write(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${BOMB.length}\r\n\r\n`);
  socket.write(BOMB);
}

const timeout = { status: null, error: "timeout" };
const invalid = { status: null, error: "invalid_response" };
const lost = { status: null, error: "connection_failed" };
const noTls = { scheme: "https", status: null, error: "tls_failed" } as const;
const delivered = { status: 200, error: null };

const HOSTILE: readonly Hostile[] = [
  { name: "never answers", ...timeout, onRequest: () => {} },
  { name: "drips its status line", ...timeout, onRequest: (socket) => drip(socket, "H") },
  {
    name: "drips its headers",
    ...timeout,
    onRequest: (socket) => (socket.write(`HTTP/1.1 200 OK\r\nx: ${CANARY}`), drip(socket, "y")),
  },
  {
    name: "drips its body",
    ...timeout,
    onRequest: (socket) => (
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n"), drip(socket, "y")
    ),
  },
  {
    name: "drips its chunks",
    ...timeout,
    onRequest: (socket) => (socket.write(CHUNKED), drip(socket, "1\r\ny\r\n")),
  },
  {
    name: "drips interim responses",
    ...timeout,
    onRequest: (socket) => (socket.write("HTTP/1.1 100 x\r\n\r\n"), drip(socket, "H")),
  },
  { name: "hangs in the TLS handshake", ...timeout, scheme: "https" },
  {
    name: "drips the TLS handshake",
    ...timeout,
    scheme: "https",
    onConnection: (socket) => (
      socket.write("\x16\x03\x03\x3f\x00\x02\x00\x3e\x00\x03\x03", "latin1"), drip(socket, "y")
    ),
  },
  { name: "speaks plain HTTP where TLS is due", ...noTls, onConnection: says(ok(CANARY)) },
  {
    name: "resets in the TLS handshake",
    ...noTls,
    onConnection: (socket) => socket.once("data", () => reset(socket)),
  },
  {
    name: "sends a body of 10 GB",
    ...delivered,
    onRequest: (socket) => (socket.write(BODY_10_GB), pour(socket, Buffer.alloc(MIB, "x"))),
  },
  {
    name: "sends chunks without end",
    ...delivered,
    onRequest: (socket) => (
      socket.write(CHUNKED), pour(socket, Buffer.from("5\r\nhello\r\n".repeat(10_000)))
    ),
  },
  { name: "sends a gzip bomb", ...delivered, onRequest: bomb },
  {
    name: "sends 1 MB of headers",
    ...invalid,
    onRequest: (socket) => void socket.write(`HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(MIB / 6)}\r\n`),
  },
  {
    name: "sends one header without end",
    ...invalid,
    onRequest: (socket) => (socket.write("HTTP/1.1 200 OK\r\nx: "), pour(socket, Buffer.alloc(MIB, "x"))),
  },
  {
    name: "sends interim responses without end",
    ...invalid,
    onRequest: (socket) => pour(socket, Buffer.from("HTTP/1.1 102 Processing\r\n\r\n".repeat(1_000))),
  },
  {
    name: "sends trailers without end",
    ...invalid,
    onRequest: (socket) => (
      socket.write(`${CHUNKED}0\r\n`), pour(socket, Buffer.from("x: y\r\n".repeat(10_000)))
    ),
  },
  {
    name: "switches protocols",
    ...invalid,
    onRequest: says(`HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n${CANARY}`),
  },
  { name: "speaks something else", ...invalid, onRequest: says(`220 ${CANARY} ESMTP\r\n\r\n`) },
  { name: "speaks something else before it was asked", ...invalid, onConnection: says("SSH-2.0-x\r\n\r\n") },
  {
    name: "sends binary garbage",
    ...invalid,
    onRequest: (socket) => pour(socket, Buffer.alloc(4096, "\x00\xff\x1b")),
  },
  { name: "ends inside of its headers", ...invalid, onRequest: saysAndEnds("HTTP/1.1 200 OK\r\nx: y\r\n") },
  {
    name: "sends a short body",
    ...invalid,
    onRequest: saysAndEnds("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"),
  },
  { name: "ends before the last chunk", ...invalid, onRequest: saysAndEnds(`${CHUNKED}5\r\nhello\r\n`) },
  { name: "sends chunks of junk", ...invalid, onRequest: says(`${CHUNKED}${CANARY}\r\n`) },
  {
    name: "states two lengths",
    ...invalid,
    onRequest: says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!"),
  },
  {
    name: "resets after the headers",
    ...invalid,
    onRequest: saysThen("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", reset),
  },
  {
    name: "resets after the headers of a body without a length",
    ...invalid,
    onRequest: saysThen("HTTP/1.1 200 OK\r\n\r\nsome", reset),
  },
  { name: "closes without a word", ...lost, onRequest: (socket) => void socket.end() },
  { name: "resets without a word", ...lost, onRequest: reset },
  { name: "closes at once", ...lost, onConnection: (socket) => void socket.destroy() },
  {
    name: "redirects to itself",
    status: 302,
    error: "http_status",
    onRequest: (socket, request) =>
      void socket.write(
        `HTTP/1.1 302 Found\r\nlocation: http://${/host: (\S+)/.exec(request)?.[1]}/again\r\ncontent-length: 0\r\n\r\n`,
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

interface Judged {
  webhookId: string;
  receiver: RawReceiver;
  // biome-ignore lint/suspicious/noExplicitAny: what an answer of the API holds is what the tests check.
  delivery: any;
}

let daemon: RunningDaemon;
let memoryBefore = 0;
let memoryMost = 0;
let descriptorsBefore = 0;
const judged = new Map<string, Judged>();

function residentMiB(): number {
  const status = readFileSync(`/proc/${daemon.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

const descriptors = () => readdirSync(`/proc/${daemon.pid}/fd`).length;

/** A key whose rate limit does not matter here. */
async function quickKey(): Promise<string> {
  const { stdout, stderr } = await runCommand([
    ...["key", "create", "--org", daemon.organizationId, "--rate-limit", "1000000"],
    ...["--data-dir", daemon.dataDir, "--json"],
  ]);
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout).raw_key;
}

let api: RunningDaemon["api"];

beforeAll(async () => {
  const options = ["--request-timeout", `${TIMEOUT_MS}ms`, "--retry-attempts", `${ATTEMPTS}`];
  const retries = ["--retry-min-delay", "20ms", "--retry-max-delay", "100ms", "--retry-jitter", "false"];
  daemon = await startDaemon({ dir: emptyDir(), args: [...LOOPBACK, ...options, ...retries] });
  atEnd(() => daemon.stop("SIGKILL"));
  const key = await quickKey();
  const { request } = await import("../support/daemon.ts");
  api = (method, path, body) => request(daemon.url, key, method, path, body);
  for (const hostile of HOSTILE) await register(hostile);
  memoryBefore = residentMiB();
  descriptorsBefore = descriptors();
  const sampler = setInterval(() => (memoryMost = Math.max(memoryMost, residentMiB())), 20);
  await sendEvents(1);
  await until("each delivery has ended", () => finished() === HOSTILE.length, 15_000);
  clearInterval(sampler);
  for (const one of judged.values()) one.delivery = await firstDelivery(one.webhookId);
}, 30_000);

afterAll(cleanUp);

async function register(hostile: Hostile): Promise<void> {
  const receiver = await startRawReceiver({ onRequest: () => {}, ...hostile });
  atEnd(receiver.stop);
  const url = `${hostile.scheme ?? "http"}://127.0.0.1:${receiver.port}/hook`;
  const { status, body } = await api("POST", "/v1/webhooks", { url });
  expect(status).toBe(201);
  judged.set(hostile.name, { webhookId: body.webhook.id, receiver, delivery: null });
}

async function sendEvents(count: number): Promise<void> {
  const scanner = await connectScanner(daemon.socket);
  const acks = await scanner.send(...Array.from({ length: count }, () => scan()));
  expect(acks.every((ack) => ack.ok)).toBe(true);
  scanner.close();
}

const finished = () => daemon.log.filter(({ msg }) => msg === "delivery finished").length;

async function firstDelivery(webhookId: string) {
  const { body } = await api("GET", `/v1/webhooks/${webhookId}/deliveries`);
  return (await api("GET", `/v1/deliveries/${body.deliveries.at(-1).id}`)).body.delivery;
}

describe("an attempt is judged, and ends by its deadline, when the receiver", () => {
  test.each(HOSTILE.map((hostile) => [hostile.name, hostile] as const))("%s", (name, { status, error }) => {
    const { delivery } = judged.get(name) as Judged;
    expect(delivery.status).toBe(error === null ? "delivered" : "failed");
    expect(delivery.attempts.length).toBe(error === null ? 1 : ATTEMPTS);
    for (const attempt of delivery.attempts) {
      expect({ status: attempt.status, error: attempt.error }).toEqual({ status, error });
      expect(attempt.duration_ms).toBeLessThan(TIMEOUT_MS + SLACK_MS);
      if (error === "timeout") expect(attempt.duration_ms).toBeGreaterThanOrEqual(TIMEOUT_MS - 5);
    }
  });
});

test("a redirect is not followed", () => {
  for (const name of ["redirects to itself", "redirects with 308"]) {
    const { receiver } = judged.get(name) as Judged;
    expect(receiver.requests.length).toBe(ATTEMPTS);
    for (const request of receiver.requests) expect(request).toStartWith("POST /hook HTTP/1.1\r\n");
  }
});

test("no Retry-After puts the next attempt off for longer than the maximum delay", () => {
  for (const [name, { delivery }] of judged) {
    if (!name.startsWith("says Retry-After")) continue;
    const [first, second] = delivery.attempts.map((attempt: { started_at: string }) =>
      Date.parse(attempt.started_at),
    );
    expect(second - first).toBeLessThan(100 + SLACK_MS);
  }
});

test("a compressed body is kept as it came, and is not inflated", () => {
  const { delivery } = judged.get("sends a gzip bomb") as Judged;
  const excerpt: string = delivery.attempts[0].response_excerpt;
  expect(excerpt).toStartWith("\x1f\uFFFD\b\uFFFD");
  expect(excerpt.length).toBeLessThanOrEqual(1024);
});

test("what it costs is bounded", () => {
  expect(memoryMost - memoryBefore).toBeLessThan(80);
});

test("no connection stays but those that may be used again", async () => {
  const reusable = HOSTILE.filter(({ name }) =>
    /^(answers (204|304|999)|redirects|talks|says|sends a gzip)/.test(name),
  );
  for (const { name } of HOSTILE) {
    const { receiver } = judged.get(name) as Judged;
    const most = reusable.some((one) => one.name === name) ? 1 : 0;
    await until(`"${name}" keeps ${most} connections`, () => receiver.sockets.size <= most, 2_000);
  }
  expect(descriptors()).toBeLessThanOrEqual(descriptorsBefore + reusable.length + 2);
});

describe("what a receiver sends", () => {
  test("reaches no log line", () => {
    for (const line of daemon.log) {
      const text = JSON.stringify(line);
      expect(text).not.toContain(CANARY);
      expect(text).not.toContain("forged");
      expect(text).not.toMatch(/\\u001b|\\[nr]|[\p{Cc}\u202a-\u202e\u2066-\u2069\u2028\u2029]/u);
    }
  });

  test("is answered by the API as text, with control characters escaped", async () => {
    const { delivery } = judged.get("talks to the terminal") as Judged;
    expect(delivery.attempts[0].response_excerpt).toBe(TERMINAL.replaceAll("\x9b", "\x9b"));
    const key = await quickKey();
    const headers = { authorization: `Bearer ${key}` };
    const answer = await fetch(`${daemon.url}/v1/deliveries/${delivery.id}`, { headers });
    expect(await answer.text()).not.toMatch(/[\0-\x1f\x7f]/);
  });

  test("reaches no terminal through a command", async () => {
    const { stdout, stderr } = await runCommand(["status", "--data-dir", daemon.dataDir]);
    expect(stdout).toContain("127.0.0.1");
    expect(stdout + stderr).not.toContain(CANARY);
    expect(stdout + stderr).not.toMatch(/[^\P{C}\n]/u);
  });
});

test("a hundred bodies of 10 GB, endless chunks and bombs at once cost bounded memory", async () => {
  const names = ["sends a body of 10 GB", "sends chunks without end", "sends a gzip bomb"];
  const before = residentMiB();
  const finishedBefore = finished();
  let most = 0;
  const sampler = setInterval(() => (most = Math.max(most, residentMiB())), 20);
  await sendEvents(100);
  const enabled = HOSTILE.filter(({ error }) => error === null).length;
  await until("each is delivered", () => finished() === finishedBefore + 100 * enabled, 10_000);
  clearInterval(sampler);
  expect(most - before).toBeLessThan(80);
  for (const name of names) {
    const { webhookId } = judged.get(name) as Judged;
    const { body } = await api("GET", `/v1/webhooks/${webhookId}`);
    expect(body.webhook).toMatchObject({ enabled: true, failure_count: 0 });
  }
}, 15_000);

test("bytes behind an answer end the connection, so that they answer nothing else", () => {
  const { receiver } = judged.get("sends bytes behind its answer") as Judged;
  expect(receiver.requests.length).toBe(101);
  expect(receiver.connections).toBe(101);
});

test("a receiver that fails costs no other its deliveries, and the daemon is well", async () => {
  const { status } = await fetch(`${daemon.url}/health`);
  expect(status).toBe(200);
  expect(daemon.log.filter(({ level }) => level === "error")).toEqual([]);
});
