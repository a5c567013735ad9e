import { afterEach, describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import type { ConnectionFailure, ConnectionOutcome } from "../../src/delivery/http/connection.ts";
import { createDestination } from "../../src/delivery/http/destination.ts";
import { connect } from "../../src/delivery/http/socket-connection.ts";
import {
  createTransport,
  type Transport,
  type TransportOptions,
  type TransportOutcome,
  type TransportRequest,
} from "../../src/delivery/http/transport.ts";
import { createSender } from "../../src/delivery/send.ts";
import { createTargetGuard, parseCidr } from "../../src/delivery/target-guard.ts";
import { createAuthority, withoutOpenssl } from "../support/certificates.ts";
import { until } from "../support/daemon.ts";
import { atEnd, cleanUp, emptyDir } from "../support/e2e.ts";
import { ok, type RawReceiver, type RawReceiverOptions, startRawReceiver } from "../support/raw-receiver.ts";

afterEach(cleanUp);

async function receiver(options?: RawReceiverOptions): Promise<RawReceiver> {
  const started = await startRawReceiver(options);
  atEnd(started.stop);
  return started;
}

function open(options: Partial<TransportOptions> = {}): Transport {
  const made = createTransport({ ca: null, ...options });
  atEnd(made.close);
  return made;
}

/** The same, answering with promises. */
function transport(options: Partial<TransportOptions> = {}) {
  const made = open(options);
  return {
    ...made,
    exchange: (request: TransportRequest) =>
      new Promise<TransportOutcome>((resolve) => made.exchange(request, resolve)),
  };
}

function post(
  to: { port: number },
  fields: { secure?: boolean; host?: string; addresses?: string[]; body?: string; within?: number } = {},
): TransportRequest {
  const { secure = false, host = "127.0.0.1", addresses = ["127.0.0.1"] } = fields;
  const { body = "{}", within = 2_000 } = fields;
  const text = `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  return {
    destination: createDestination({ secure, host, port: to.port }, addresses),
    text,
    bytes: Buffer.byteLength(text),
    now: performance.now(),
    deadline: performance.now() + within,
  };
}

const bodyOf = (request: string | undefined) => request?.slice(request.indexOf("\r\n\r\n") + 4);

describe("a connection is used again", () => {
  test("by the requests that follow, one at a time", async () => {
    const server = await receiver();
    const { exchange, idleConnections } = transport();
    for (let i = 0; i < 5; i += 1) {
      expect(await exchange(post(server))).toMatchObject({ ok: true, response: { status: 200 } });
      expect(idleConnections()).toBe(1);
    }
    expect(server.connections).toBe(1);
    expect(server.requests.length).toBe(5);
  });

  test.skipIf(withoutOpenssl)("over TLS too", async () => {
    const authority = createAuthority(emptyDir());
    const server = await receiver({ tls: authority.issue({ names: ["IP:127.0.0.1"] }) });
    const { exchange } = transport({ ca: [authority.cert] });
    for (let i = 0; i < 3; i += 1) {
      expect(await exchange(post(server, { secure: true }))).toMatchObject({ ok: true });
    }
    expect(server.connections).toBe(1);
  });

  test("but never for another address, port, name or scheme", async () => {
    const server = await receiver({ host: "0.0.0.0" });
    const { exchange, idleConnections } = transport();
    await exchange(post(server));
    await exchange(post(server, { addresses: ["127.0.0.2"] }));
    await exchange(post(server, { host: "hooks.test" }));
    expect(server.connections).toBe(3);
    expect(idleConnections()).toBe(3);
    expect(await exchange(post(server, { secure: true, within: 200 }))).toMatchObject({ ok: false });
    expect(server.connections).toBe(4);
  });

  test("and once more afresh when the other side had just closed it", async () => {
    // Each connection takes one request; the next one meets silence and a close.
    const server = await receiver({
      onRequest: (socket, _, nth) => (nth === 0 ? socket.write(ok()) : socket.end()),
    });
    const { exchange } = transport();
    await exchange(post(server));
    expect(await exchange(post(server, { body: "again" }))).toMatchObject({ ok: true });
    expect(server.connections).toBe(2);
    expect(server.requests.map(bodyOf)).toEqual(["{}", "again", "again"]);
  });

  test("but not a third time", async () => {
    let answers = 1;
    const server = await receiver({
      onRequest: (socket) => {
        answers -= 1;
        if (answers >= 0) socket.write(ok());
        else socket.destroy();
      },
    });
    const { exchange } = transport();
    await exchange(post(server));
    expect(await exchange(post(server))).toMatchObject({ ok: false, failure: "connection_failed" });
    expect(server.requests.length).toBe(3);
  });

  test("but not after an answer that had begun", async () => {
    const server = await receiver({
      onRequest: (socket, _, nth) => (nth === 0 ? socket.write(ok()) : socket.end("HTTP/1.1 2")),
    });
    const { exchange } = transport();
    await exchange(post(server));
    expect(await exchange(post(server))).toMatchObject({ ok: false, failure: "invalid_response" });
    expect(server.requests.length).toBe(2);
  });

  test.each([
    ["bytes behind the answer", (socket: Socket) => socket.write(`${ok()}x`)],
    ["an answer that nobody asked for", (socket: Socket) => socket.write(ok() + ok("second"))],
    ["an end right behind the answer", (socket: Socket) => socket.end(ok())],
    [
      "a reset right behind the answer",
      (socket: Socket) => socket.write(ok(), () => socket.resetAndDestroy()),
    ],
  ])("but not after %s", async (_what, answer) => {
    const server = await receiver({ onRequest: answer });
    const { exchange } = transport();
    for (let i = 0; i < 20; i += 1) {
      const outcome = await exchange(post(server, { within: 1_000 }));
      expect(outcome).toMatchObject({ ok: true, response: { body: Buffer.from("ok") } });
    }
    expect(server.connections).toBe(20);
  });

  test("but not after an answer that came while it was idle", async () => {
    const server = await receiver();
    const { exchange, idleConnections } = transport();
    await exchange(post(server));
    for (const socket of server.sockets) socket.write(ok("forged"));
    await until("the connection is given up", () => idleConnections() === 0);
    expect(await exchange(post(server))).toMatchObject({
      ok: true,
      response: { body: Buffer.from("ok") },
    });
    expect(server.connections).toBe(2);
  });
});

describe("idle connections", () => {
  test("are at most as many as they may be, the latest used staying", async () => {
    const server = await receiver({ host: "0.0.0.0" });
    const { exchange, idleConnections } = transport({ maxIdle: 2 });
    const to = (last: number) => exchange(post(server, { addresses: [`127.0.0.${last}`] }));
    for (const last of [1, 2, 1, 3]) await to(last);
    expect(idleConnections()).toBe(2);
    await until("the third is closed", () => server.sockets.size === 2);
    await to(1);
    expect(server.connections).toBe(3);
    await to(2);
    expect(server.connections).toBe(4);
  });

  test("give way to those in flight, where all together may be only so many", async () => {
    const server = await receiver({ host: "0.0.0.0" });
    const { exchange, idleConnections } = transport({ maxConnections: 2 });
    for (const last of [1, 2, 3]) await exchange(post(server, { addresses: [`127.0.0.${last}`] }));
    await until("the first is closed", () => server.sockets.size === 2);
    expect(idleConnections()).toBe(2);
  });

  test("are closed after their time", async () => {
    const server = await receiver();
    const { exchange, idleConnections } = transport({ idleMs: 100 });
    await exchange(post(server));
    expect(idleConnections()).toBe(1);
    await until("it is closed", () => idleConnections() === 0 && server.sockets.size === 0, 3_000);
  });

  test("are closed before a receiver does what it said", async () => {
    const server = await receiver({
      onRequest: (socket) => socket.write(ok("ok", "keep-alive: timeout=1\r\n")),
    });
    const { exchange, idleConnections } = transport();
    await exchange(post(server));
    expect(idleConnections()).toBe(0);
  });

  test("are forgotten when the other side closes them", async () => {
    const server = await receiver();
    const { exchange, idleConnections } = transport();
    await exchange(post(server));
    for (const socket of server.sockets) socket.end();
    await until("it is forgotten", () => idleConnections() === 0);
    expect(await exchange(post(server))).toMatchObject({ ok: true });
  });

  test("are all closed with the transport", async () => {
    const server = await receiver({ host: "0.0.0.0" });
    const { exchange, close } = transport();
    await exchange(post(server));
    await exchange(post(server, { addresses: ["127.0.0.2"] }));
    close();
    await until("both are closed", () => server.sockets.size === 0);
  });
});

describe("of several addresses", () => {
  test("one that refuses is passed over", async () => {
    const server = await receiver({ host: "127.0.0.3" });
    const outcome = await transport().exchange(post(server, { addresses: ["127.0.0.4", "127.0.0.3"] }));
    expect(outcome).toMatchObject({ ok: true });
  });

  test.skipIf(withoutOpenssl)("one whose handshake hangs leaves time for the next", async () => {
    const authority = createAuthority(emptyDir());
    const hanging = await receiver({ host: "127.0.0.4", onRequest: () => {} });
    const tls = authority.issue({ names: ["DNS:hooks.test"] });
    const server = await receiver({ host: "127.0.0.3", port: hanging.port, tls });
    const { exchange } = transport({ ca: [authority.cert] });
    const addresses = ["127.0.0.4", "127.0.0.3"];
    const outcome = await exchange(
      post(server, { secure: true, host: "hooks.test", addresses, within: 1_000 }),
    );
    expect(outcome).toMatchObject({ ok: true });
    expect(hanging.connections).toBe(1);
    await until("the first is given up", () => hanging.sockets.size === 0);
  });

  test("none is tried after one that may have got the request", async () => {
    const first = await receiver({ host: "127.0.0.4", onRequest: (socket) => socket.destroy() });
    const second = await receiver({ host: "127.0.0.3", port: first.port });
    const outcome = await transport().exchange(post(first, { addresses: ["127.0.0.4", "127.0.0.3"] }));
    expect(outcome).toMatchObject({ ok: false, failure: "connection_failed" });
    expect(second.connections).toBe(0);
  });

  test("all that refuse make one failure", async () => {
    const closed = await receiver();
    await closed.stop();
    const outcome = await transport().exchange(
      post(closed, { addresses: ["127.0.0.4", "127.0.0.3", "127.0.0.1"] }),
    );
    expect(outcome).toMatchObject({ ok: false, failure: "connection_failed" });
  });
});

/** Far more than a socket's buffers hold, of characters with one to four bytes. */
const LONG = "aé日😀".repeat(1_200_000);

describe("a request that is longer than the socket's buffer", () => {
  const reluctant = (socket: Socket): void => {
    socket.pause();
    setTimeout(() => socket.resume(), 100);
  };

  test("is written whole", async () => {
    const server = await receiver({ onConnection: reluctant });
    const { exchange } = transport();
    expect(await exchange(post(server, { body: LONG, within: 8_000 }))).toMatchObject({ ok: true });
    expect(bodyOf(server.requests[0]) === LONG).toBe(true);
    expect(await exchange(post(server, { body: "next" }))).toMatchObject({ ok: true });
    expect(server.connections).toBe(1);
  });

  test.skipIf(withoutOpenssl)("is written whole over TLS", async () => {
    const authority = createAuthority(emptyDir());
    const tls = authority.issue({ names: ["IP:127.0.0.1"] });
    const server = await receiver({ tls, onConnection: reluctant });
    const { exchange } = transport({ ca: [authority.cert] });
    expect(await exchange(post(server, { secure: true, body: LONG, within: 8_000 }))).toMatchObject({
      ok: true,
    });
    expect(bodyOf(server.requests[0]) === LONG).toBe(true);
  });

  test("and is answered before it is out gives its connection up", async () => {
    const early = await receiver({
      onConnection: (socket) =>
        socket.once("data", () => {
          socket.pause();
          socket.write(ok("early"));
          setTimeout(() => socket.resume(), 100);
        }),
    });
    const { exchange, idleConnections } = transport();
    const outcome = await exchange(post(early, { body: LONG }));
    expect(outcome).toMatchObject({ ok: true, response: { body: Buffer.from("early") } });
    expect(idleConnections()).toBe(0);
    await until("the connection is closed", () => early.sockets.size === 0);
  });

  test("ends by its deadline when nobody reads it", async () => {
    const server = await receiver({ onConnection: (socket) => socket.pause() });
    const start = performance.now();
    const outcome = await transport().exchange(post(server, { body: LONG, within: 200 }));
    expect(outcome).toEqual({
      ok: false,
      failure: "timeout",
      detail: "the receiver gave no answer in time",
    });
    expect(performance.now() - start).toBeLessThan(600);
  });
});

test("the stated length is that of the bytes, whatever the characters", async () => {
  const server = await receiver();
  const sender = createSender({
    guard: createTargetGuard({ allowNetworks: [parseCidr("127.0.0.0/8")] }),
    resolve: async () => [],
    transport: open(),
    clock: { wall: Date.now, schedule: Date.now },
    version: "0",
    source: "host.test",
    timeoutMs: 2_000,
    maxRetryAfterMs: 0,
    allowHttp: true,
    onFault: (error) => expect(error).toBeUndefined(),
  });
  const url = `http://127.0.0.1:${server.port}/`;
  const target = sender.createTarget({
    url,
    format: "json",
    organizationId: null,
    secrets: ["0".repeat(64)],
  });
  const bodies = ["plain", "é", "ÿ".repeat(5_000), "日本", "😀", "aé日😀".repeat(5_000)];
  for (const body of bodies) {
    expect(await sender.send(target, { eventId: "e", body })).toMatchObject({ status: 200, error: null });
  }
  expect(server.requests.map(bodyOf)).toEqual(bodies);
  expect(server.connections).toBe(1);
});

test("handshakes that hang count for a second only, and connections without TLS not at all", async () => {
  const silent = await receiver();
  const made = open();
  for (let i = 0; i < 20; i += 1) {
    for (const secure of [true, false]) made.exchange(post(silent, { secure, within: 5_000 }), () => {});
  }
  expect(made.handshakes()).toBe(20);
  await until("all of them are reached", () => silent.connections === 40);
  expect(made.handshakes()).toBe(20);
  await until("none counts any more", () => made.handshakes() === 0, 2_000);
});

test("handshakes that have ended do not count", async () => {
  const refusing = await receiver({ onConnection: (socket) => socket.destroy() });
  const made = transport();
  const outcomes = Array.from({ length: 3 }, () => made.exchange(post(refusing, { secure: true })));
  expect(made.handshakes()).toBe(3);
  await Promise.all(outcomes);
  expect(made.handshakes()).toBe(0);
});

test("a connection that has ended fails the next request at once", async () => {
  const server = await receiver();
  const outcomes: ConnectionOutcome[] = [];
  const up: (ConnectionFailure | null)[] = [];
  const connection = connect({
    address: "127.0.0.1",
    port: server.port,
    tls: null,
    onUp: (failure) => up.push(failure),
    onOutcome: (outcome) => outcomes.push(outcome),
  });
  await until("it is up", () => up.length === 1 && server.sockets.size === 1);
  for (const socket of server.sockets) socket.destroy();
  await until("it has ended", () => !connection.alive);
  connection.send("POST / HTTP/1.1\r\n\r\n", 19);
  expect(up).toEqual([null]);
  expect(outcomes).toMatchObject([
    { ok: false, failure: "connection_failed" },
    { ok: false, failure: "connection_failed", unanswered: true },
  ]);
});
