import { afterEach, describe, expect, test } from "bun:test";
import type {
  Connection,
  ConnectionFailure,
  ConnectionOutcome,
  ConnectOptions,
} from "../../src/delivery/http/connection.ts";
import { connect } from "../../src/delivery/http/socket-connection.ts";
import { createAuthority, withoutOpenssl } from "../support/certificates.ts";
import { until } from "../support/daemon.ts";
import { atEnd, cleanUp, emptyDir } from "../support/e2e.ts";
import { ok, type RawReceiver, type RawReceiverOptions, startRawReceiver } from "../support/raw-receiver.ts";

afterEach(cleanUp);

const REQUEST = "GET / HTTP/1.1\r\nHost: hooks.test\r\n\r\n";

async function receiver(options: RawReceiverOptions = {}): Promise<RawReceiver> {
  const started = await startRawReceiver(options);
  atEnd(started.stop);
  return started;
}

interface Watched {
  connection: Connection;
  /** What `onUp` was told. */
  ups: (ConnectionFailure | null)[];
  outcomes: ConnectionOutcome[];
  reached: () => number;
}

function watch(port: number, options: Partial<ConnectOptions> = {}): Watched {
  const ups: Watched["ups"] = [];
  const outcomes: ConnectionOutcome[] = [];
  let reached = 0;
  const connection = connect({
    address: "127.0.0.1",
    port,
    tls: null,
    onReached: () => {
      reached += 1;
    },
    onUp: (failure) => ups.push(failure),
    onOutcome: (outcome) => outcomes.push(outcome),
    ...options,
  });
  atEnd(() => connection.destroy());
  return { connection, ups, outcomes, reached: () => reached };
}

/** One that is up. */
async function up(port: number, options: Partial<ConnectOptions> = {}): Promise<Watched> {
  const watched = watch(port, options);
  await until("it is up or has failed", () => watched.ups.length > 0);
  expect(watched.ups).toEqual([null]);
  return watched;
}

async function ask({ connection, outcomes }: Watched, request = REQUEST): Promise<ConnectionOutcome> {
  const before = outcomes.length;
  connection.send(request, Buffer.byteLength(request));
  await until("there is an outcome", () => outcomes.length > before);
  return outcomes[before] as ConnectionOutcome;
}

/** What comes of the first request to a receiver that does this with it. */
async function outcomeOf(onRequest: RawReceiverOptions["onRequest"]): Promise<ConnectionOutcome> {
  const { port } = await receiver(onRequest && { onRequest });
  return ask(await up(port));
}

describe("a connection", () => {
  test("is told to be up after connect has returned, once", async () => {
    const { port } = await receiver();
    const watched = watch(port);
    expect([watched.ups, watched.connection.alive]).toEqual([[], true]);
    await until("it is up", () => watched.ups.length > 0);
    expect(watched.ups).toEqual([null]);
  });

  test("carries one request after another", async () => {
    const server = await receiver({
      onRequest: (socket, _request, nth) => socket.write(ok(`answer ${nth}`)),
    });
    const watched = await up(server.port);
    for (const nth of [0, 1, 2]) {
      const outcome = await ask(watched);
      expect(outcome).toMatchObject({ ok: true, response: { status: 200, reusable: true } });
      expect(outcome.ok && outcome.response.body?.toString()).toBe(`answer ${nth}`);
    }
    expect([server.connections, server.requests]).toEqual([1, [REQUEST, REQUEST, REQUEST]]);
    expect(watched.connection.alive).toBe(true);
  });

  test("sends all of a request that is larger than what the socket takes at once", async () => {
    const server = await receiver({
      onConnection: (socket) => {
        socket.pause();
        setTimeout(() => socket.resume(), 50);
      },
    });
    const body = "é".repeat(8 * 1024 * 1024);
    const head = `POST / HTTP/1.1\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
    const outcome = await ask(await up(server.port), head + body);
    expect(outcome).toMatchObject({ ok: true, response: { reusable: true } });
    expect(server.requests[0] === head + body).toBe(true);
  });

  test("is not used again when the answer came before the whole request was out", async () => {
    const server = await receiver({
      onConnection: (socket) =>
        socket.once("data", () => {
          socket.pause();
          socket.write(ok("too early"));
        }),
    });
    const watched = await up(server.port);
    const body = "x".repeat(32 * 1024 * 1024);
    const request = `POST / HTTP/1.1\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const outcome = await ask(watched, request);
    expect(outcome).toMatchObject({ ok: true, response: { status: 200, reusable: false } });
    expect(watched.connection.alive).toBe(false);
  });

  test("ends with an answer that says so", async () => {
    const { port } = await receiver({ onRequest: (socket) => socket.write(ok("", "connection: close\r\n")) });
    const watched = await up(port);
    expect(await ask(watched)).toMatchObject({ ok: true, response: { reusable: false } });
    expect(watched.connection.alive).toBe(false);
    expect(await ask(watched)).toMatchObject({ failure: "connection_failed", unanswered: true });
  });

  test("that is refused says where, and is never up", async () => {
    const gone = await startRawReceiver();
    await gone.stop();
    const { ups, connection } = watch(gone.port);
    await until("it has failed", () => ups.length > 0);
    const detail = `127.0.0.1 port ${gone.port} refused the connection`;
    expect(ups).toEqual([{ failure: "connection_failed", detail }]);
    expect(connection.alive).toBe(false);
  });

  test("tells nothing once it was given up, whether it was up by then or not", async () => {
    const server = await receiver({ onRequest: () => {} });
    const early = watch(server.port);
    early.connection.destroy();
    const late = await up(server.port);
    late.connection.send(REQUEST, REQUEST.length);
    await until("the request is there", () => server.requests.length === 1);
    late.connection.destroy();
    await until("both are gone", () => server.sockets.size === 0);
    expect([early.ups, early.outcomes, late.outcomes]).toEqual([[], [], []]);
    expect([early.connection.alive, late.connection.alive]).toEqual([false, false]);
  });
});

describe("what comes of a request", () => {
  test("may be tried again elsewhere only when not a byte of an answer came", async () => {
    const closed = { ok: false, failure: "connection_failed", unanswered: true };
    expect(await outcomeOf((socket) => socket.destroy())).toMatchObject(closed);
    const cutOff = { ok: false, failure: "invalid_response", unanswered: false };
    expect(await outcomeOf((socket) => socket.end("HTTP/1.1 200"))).toMatchObject(cutOff);
  });

  test("is no response when it is not HTTP/1.1", async () => {
    const outcome = await outcomeOf((socket) => socket.write("220 mail.test ESMTP\r\n\r\n"));
    expect(outcome).toMatchObject({ failure: "invalid_response", unanswered: false });
  });

  test("is the response when its head was read before the receiver closed", async () => {
    const outcome = await outcomeOf((socket) =>
      socket.end("HTTP/1.1 503 Busy\r\ncontent-length: 9\r\n\r\nhalf"),
    );
    expect(outcome).toMatchObject({ ok: true, response: { status: 503, reusable: false } });
  });

  test("is what was read when it is cut, and null where no head was", async () => {
    const server = await receiver({
      onRequest: (socket, request) => {
        if (request.startsWith("GET /slow")) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
        else socket.write("HTTP/1.1 2");
      },
    });
    const cut = async (request: string): Promise<unknown> => {
      const { connection, outcomes } = await up(server.port);
      connection.send(request, request.length);
      const count = server.requests.length;
      await until("it was asked", () => server.requests.length > count);
      await Bun.sleep(20);
      const response = connection.cut();
      expect([connection.alive, outcomes]).toEqual([false, []]);
      return response;
    };
    expect(await cut(REQUEST.replace("/ ", "/slow "))).toMatchObject({ status: 200, reusable: false });
    expect(await cut(REQUEST)).toBeNull();
  });
});

describe("a connection that idles", () => {
  test("ends when the receiver sends what nobody asked for: it could be taken for the next answer", async () => {
    const server = await receiver();
    const watched = await up(server.port);
    await ask(watched);
    for (const socket of server.sockets) socket.write(ok("smuggled"));
    await until("it has ended", () => watched.outcomes.length === 2);
    expect(watched.outcomes[1]).toMatchObject({ ok: false, failure: "invalid_response" });
    expect(watched.connection.alive).toBe(false);
  });

  test("tells once that the receiver closed it", async () => {
    const server = await receiver();
    const watched = await up(server.port);
    await ask(watched);
    for (const socket of server.sockets) socket.end();
    await until("it has ended", () => watched.outcomes.length === 2);
    await Bun.sleep(20);
    expect(watched.outcomes).toHaveLength(2);
    expect([watched.outcomes[1]?.ok, watched.connection.alive]).toEqual([false, false]);
  });
});

describe.skipIf(withoutOpenssl)("over TLS", () => {
  test("it is reached, then up, for the name that the certificate has, and for no other", async () => {
    const authority = createAuthority(emptyDir());
    const { cert, key } = authority.issue({ names: ["DNS:hooks.test"] });
    const server = await receiver({ tls: { cert, key } });
    const tls = { serverName: "hooks.test.", ca: [authority.cert] };
    const watched = await up(server.port, { tls });
    expect([watched.reached(), server.serverNames]).toEqual([1, ["hooks.test"]]);
    expect(await ask(watched)).toMatchObject({ ok: true, response: { status: 200 } });

    const other = watch(server.port, { tls: { ...tls, serverName: "other.test" } });
    await until("it has failed", () => other.ups.length > 0);
    expect(other.ups).toMatchObject([{ failure: "tls_failed" }]);
    expect([other.reached(), other.connection.alive]).toEqual([1, false]);
  });

  test("a receiver that leaves during the handshake fails as TLS, not as a connection", async () => {
    const { port } = await receiver({ onConnection: (socket) => socket.once("data", () => socket.end()) });
    const { ups } = watch(port, { tls: { serverName: "hooks.test", ca: null } });
    await until("it has failed", () => ups.length > 0);
    expect(ups).toMatchObject([{ failure: "tls_failed" }]);
  });
});
