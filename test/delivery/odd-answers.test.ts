import { afterEach, describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import { until } from "../support/daemon.ts";
import { atEnd, cleanUp } from "../support/e2e.ts";
import { ok, type RawReceiver, type RawReceiverOptions, startRawReceiver } from "../support/raw-receiver.ts";
import { testSender } from "../support/senders.ts";

afterEach(cleanUp);

async function receiver(options: RawReceiverOptions): Promise<RawReceiver & { url: string }> {
  const started = await startRawReceiver(options);
  atEnd(started.stop);
  return Object.assign(started, { url: `http://127.0.0.1:${started.port}/hook` });
}

const CHUNKED = "transfer-encoding: chunked\r\n";
const HELLO = "5\r\nhello\r\n0\r\n\r\n";

describe("the status counts, the connection is closed, and nothing is sent twice, after", () => {
  const answers: [string, (socket: Socket) => void, string | null][] = [
    [
      "two lines that say chunked",
      (socket) => socket.write(`HTTP/1.1 200 OK\r\n${CHUNKED}${CHUNKED}\r\n${HELLO}`),
      "hello",
    ],
    [
      "chunked and a length",
      (socket) => socket.write(`HTTP/1.1 200 OK\r\n${CHUNKED}content-length: 15\r\n\r\n${HELLO}`),
      "hello",
    ],
    [
      "a body shorter than its length, then an end",
      (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"),
      "short",
    ],
    [
      "a body shorter than its length, then a reset",
      (socket) => {
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n");
        setTimeout(() => socket.resetAndDestroy(), 50);
      },
      null,
    ],
    ["a chunk size that is none", (socket) => socket.write(`HTTP/1.1 200 OK\r\n${CHUNKED}\r\nzz\r\n`), null],
    [
      "a body without end",
      (socket) => {
        socket.write(`HTTP/1.1 200 OK\r\n\r\n${"x".repeat(20_000)}`);
        const more = setInterval(() => socket.write("y".repeat(1_000)), 10);
        socket.on("close", () => clearInterval(more));
      },
      "x".repeat(1024),
    ],
  ];

  test.each(answers)("%s", async (_what, answer, excerpt) => {
    const server = await receiver({ onRequest: answer });
    expect(await testSender()(server.url)).toMatchObject({
      status: 200,
      error: null,
      detail: null,
      excerpt,
      meaning: { kind: "delivered" },
    });
    await until("the connection is closed", () => server.sockets.size === 0);
    expect(server.requests.length).toBe(1);
  });

  test("a body that drips until the deadline, of which there is what came", async () => {
    const server = await receiver({
      onRequest: (socket) => {
        socket.write("HTTP/1.1 500 no\r\n\r\n");
        const drip = setInterval(() => socket.write("."), 20);
        socket.on("close", () => clearInterval(drip));
      },
    });
    const result = await testSender({ timeoutMs: 300 })(server.url);
    expect(result).toMatchObject({ status: 500, error: "http_status" });
    expect(result.excerpt).toMatch(/^\.{3,}$/);
    expect(result.durationMs).toBeGreaterThanOrEqual(295);
    await until("the connection is closed", () => server.sockets.size === 0);
    expect(server.requests.length).toBe(1);
  });
});

test.each([20, 63])(
  "%d KB of header fields are read, and the connection is used again",
  async (kilobytes) => {
    const fields = `x-policy: ${"y".repeat(1000)}\r\n`.repeat(kilobytes);
    const server = await receiver({ onRequest: (socket) => socket.write(ok("ok", fields)) });
    const send = testSender();
    for (let i = 0; i < 2; i += 1) expect(await send(server.url)).toMatchObject({ status: 200, error: null });
    expect(server.connections).toBe(1);
  },
);

test("more of them than 64 KB is no answer", async () => {
  const fields = `x-policy: ${"y".repeat(1000)}\r\n`.repeat(70);
  const server = await receiver({ onRequest: (socket) => socket.write(ok("ok", fields)) });
  expect(await testSender()(server.url)).toMatchObject({
    status: null,
    error: "invalid_response",
    detail: "the head of the receiver's answer is longer than 64 KiB",
  });
});

describe("a 408", () => {
  const TIMED_OUT = "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

  test("that comes on a kept connection as the request goes out is no answer to it", async () => {
    const server = await receiver({
      onRequest: (socket, _, nth) => (nth === 0 ? socket.write(ok()) : socket.end(TIMED_OUT)),
    });
    const send = testSender();
    await send(server.url);
    expect(await send(server.url)).toMatchObject({ status: 200, error: null, detail: null });
    expect(server.connections).toBe(2);
  });

  test("on a fresh one is", async () => {
    const server = await receiver({ onRequest: (socket) => socket.end(TIMED_OUT) });
    expect(await testSender()(server.url)).toMatchObject({ status: 408, error: "http_status" });
    expect(server.requests.length).toBe(1);
  });
});

test("a request says what some receivers insist on", async () => {
  const server = await receiver({});
  await testSender()(server.url);
  expect(server.requests[0]).toStartWith(
    `POST /hook HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nAccept: */*\r\n`,
  );
});

test("what Teams answers 200 for is a failure, and says so", async () => {
  const failed = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error";
  let code = 400;
  const server = await receiver({ onRequest: (socket) => socket.write(ok(`${failed} ${code} with x`)) });
  const send = testSender();
  const detail = "Teams answered 200 and says in the body that its delivery failed";
  expect(await send(server.url, "teams")).toMatchObject({ status: 200, error: "http_status", detail });
  code = 429;
  expect(await send(server.url, "teams")).toMatchObject({ meaning: { kind: "wait", milliseconds: null } });
  expect(await send(server.url)).toMatchObject({ error: null });
});
