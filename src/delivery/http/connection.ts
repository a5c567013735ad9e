import { isIP } from "node:net";
import type { Socket } from "bun";
import { createResponseParser, type ParsedResponse, type ResponseParser } from "./response-parser.ts";

/**
 * One TCP or TLS connection to a checked address, carrying one request at a time. It is ours rather than
 * `fetch`'s because a delivery engine needs what `fetch` does not give: no cap of 256 requests and 64 idle
 * connections per process, an address that cannot differ from the one that was checked, no proxy, no
 * redirect, no decompression, and bounds on whatever a receiver sends. Measured at half the CPU time of `fetch`.
 */
export interface Connection {
  /** Sends a whole request of so many bytes, while no other one is under way; what comes of it goes to `onOutcome`. */
  send(request: string, bytes: number): void;
  /** Gives the connection up at once, without an outcome. */
  destroy(): void;
  /** The same, with the response to the request under way if its head was read by now; null otherwise. */
  cut(): ParsedResponse | null;
  readonly alive: boolean;
  /** Whether a request may have reached the other side: then no other address is tried. */
  readonly sent: boolean;
}

export type ConnectionFailure = "connection_failed" | "tls_failed" | "invalid_response";

export type ConnectionOutcome =
  | { ok: true; response: ParsedResponse }
  /** `unanswered`: not a byte of a response came, so a fresh connection may try again. */
  | { ok: false; failure: ConnectionFailure; unanswered: boolean };

export type OnOutcome = (outcome: ConnectionOutcome) => void;

export interface ConnectOptions {
  /** Told once of each request, and once more when the connection ends by itself while it idles. */
  onOutcome: OnOutcome;
  /** The checked IP address. */
  address: string;
  port: number;
  /** Null for plain HTTP. */
  tls: { serverName: string; ca: readonly string[] | null } | null;
}

/** Connects in the background and never throws; a request given before it is up waits for it. */
export function connect({ address, port, tls, onOutcome }: ConnectOptions): Connection {
  const parser: ResponseParser = createResponseParser();
  let socket: Socket<undefined> | null = null;
  let ready = false;
  let alive = true;
  let sent = false;
  let waiting: string | null = null;
  let requestBytes = 0;
  let unsent: Buffer | null = null;
  let busy = false;

  const settle = (outcome: ConnectionOutcome): void => {
    busy = false;
    // An answer that came before the whole request was out: the rest of it would run into the next one.
    if (outcome.ok && (unsent !== null || waiting !== null)) outcome.response.reusable = false;
    waiting = null;
    if (!outcome.ok || !outcome.response.reusable) destroy();
    onOutcome(outcome);
  };

  const fail = (failure: ConnectionFailure): void => {
    if (!alive) return;
    settle({ ok: false, failure, unanswered: !parser.started });
  };

  const destroy = (): void => {
    alive = false;
    ready = false;
    unsent = null;
    socket?.terminate();
    socket = null;
  };

  const write = (request: string): void => {
    if (!socket) return;
    sent = true;
    const written = socket.write(request);
    if (written < 0) fail("connection_failed");
    else if (written < requestBytes) unsent = Buffer.from(request).subarray(written);
  };

  const drain = (): void => {
    if (!unsent || !socket) return;
    const written = socket.write(unsent);
    if (written < 0) fail("connection_failed");
    else unsent = written < unsent.length ? unsent.subarray(written) : null;
  };

  const becomeReady = (): void => {
    ready = true;
    if (waiting === null) return;
    const request = waiting;
    waiting = null;
    write(request);
  };

  const receive = (chunk: Buffer): void => {
    if (!alive) return;
    // An answer that nobody asked for: what follows could be taken for the answer to the next request.
    if (!busy || !sent) {
      fail("invalid_response");
      return;
    }
    const state = parser.push(chunk);
    if (state === "invalid") fail("invalid_response");
    else if (state === "done") settle({ ok: true, response: parser.response });
  };

  /** It has ended, or was lost. A response whose head was read is one all the same. */
  const broken = (): void => {
    if (!alive) return;
    if (busy && parser.end() === "done") settle({ ok: true, response: parser.response });
    else if (tls && !ready) fail("tls_failed");
    else fail(parser.started ? "invalid_response" : "connection_failed");
  };

  const connection: Connection = {
    send(request, bytes) {
      if (!alive) return onOutcome({ ok: false, failure: "connection_failed", unanswered: true });
      busy = true;
      requestBytes = bytes;
      parser.reset();
      if (ready) write(request);
      else waiting = request;
    },
    destroy,
    cut() {
      const response = busy && parser.end() === "done" ? parser.response : null;
      destroy();
      return response;
    },
    get alive() {
      return alive;
    },
    get sent() {
      return sent;
    },
  };

  Bun.connect<undefined>({
    hostname: address,
    port,
    ...(tls && { tls: tlsOptions(tls) }),
    socket: {
      open(opened) {
        socket = opened;
        if (!alive) opened.terminate();
        else if (!tls) becomeReady();
      },
      handshake(_socket, success, verifyError) {
        // Bun reports a chain or a name that does not hold here, and leaves the refusal to us.
        if (!success || verifyError) fail("tls_failed");
        else if (alive) becomeReady();
      },
      data: (_socket, chunk) => receive(chunk),
      drain,
      end: broken,
      close: broken,
      // TLS 1.3 tells of a client that it will not have (no certificate, say) only after the handshake.
      error: () => (tls && !parser.started ? fail("tls_failed") : broken()),
      connectError: () => fail("connection_failed"),
    },
  }).catch(() => fail("connection_failed"));

  return connection;
}

function tlsOptions({ serverName, ca }: NonNullable<ConnectOptions["tls"]>) {
  return {
    // SNI has neither a final dot nor addresses (RFC 6066, 3). With no name it is the address that is verified.
    serverName: isIP(serverName) === 0 ? serverName.replace(/\.$/, "") : "",
    // Said outright: NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment must not weaken it.
    rejectUnauthorized: true,
    ...(ca && { ca: [...ca] }),
  };
}
