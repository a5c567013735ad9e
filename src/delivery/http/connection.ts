import { isIP } from "node:net";
import type { Socket, SocketHandler } from "bun";
import { descriptorsAreOut, NO_DESCRIPTOR } from "../../descriptors.ts";
import type { HttpProxy } from "./proxy.ts";
import { placeOf, type TlsFault, tlsReason } from "./reasons.ts";
import { createResponseParser, type ParsedResponse, type ResponseParser } from "./response-parser.ts";
import { openTunnel, type Tunnel } from "./tunnel.ts";

/**
 * One TCP or TLS connection to a checked address, carrying one request at a time. It is ours rather than
 * `fetch`'s because a delivery engine needs what `fetch` does not give: no cap of 256 requests and 64 idle
 * connections per process, an address that cannot differ from the one that was checked, no proxy but
 * the operator's own, no redirect, no decompression, and bounds on whatever a receiver sends. Measured at half the CPU time of `fetch`.
 */
export interface Connection {
  /** Sends a whole request of so many bytes, once the connection is up and while no other one is under way; what comes of it goes to `onOutcome`. */
  send(request: string, bytes: number): void;
  /** Gives the connection up at once, without an outcome. */
  destroy(): void;
  /** The same, with the response to the request under way if its head was read by now; null otherwise. */
  cut(): ParsedResponse | null;
  readonly alive: boolean;
}

export interface ConnectionFailure {
  failure: "connection_failed" | "tls_failed" | "invalid_response" | "proxy_failed" | "out_of_resources";
  /** For a person. */
  detail: string;
}

export type ConnectionOutcome =
  | { ok: true; response: ParsedResponse }
  /** `unanswered`: not a byte of a response came, so a fresh connection may try again. */
  | ({ ok: false; unanswered: boolean } & ConnectionFailure);

export interface ConnectOptions {
  /** The checked IP address of the receiver, or the proxy's. */
  address: string;
  /** The receiver's, also where a proxy connects to it. */
  port: number;
  /** Null for plain HTTP. */
  tls: { serverName: string; ca: readonly string[] | null } | null;
  /** TLS goes through a tunnel that it opens, plain HTTP to itself. */
  proxy?: HttpProxy | null;
  /** The receiver is reached, through the proxy if there is one: what is left is TLS. */
  onReached?: () => void;
  /** Told once, never before `connect` has returned: null when the connection is up, otherwise why it never will be. */
  onUp: (failure: ConnectionFailure | null) => void;
  /** Told once of each request, and once more when the connection ends by itself while it idles. */
  onOutcome: (outcome: ConnectionOutcome) => void;
}

/** Connects in the background and never throws. */
export function connect(options: ConnectOptions): Connection {
  const { address, port, tls, proxy = null, onUp, onOutcome } = options;
  const parser: ResponseParser = createResponseParser();
  let socket: Socket<undefined> | null = null;
  let tunnel: Tunnel | null = null;
  let up = false;
  let alive = true;
  let requestBytes = 0;
  let unsent: Buffer | null = null;
  let busy = false;
  let short = false;

  const settle = (outcome: ConnectionOutcome): void => {
    busy = false;
    // An answer that came before the whole request was out: the rest of it would run into the next one.
    if (outcome.ok && unsent !== null) outcome.response.reusable = false;
    if (!outcome.ok || !outcome.response.reusable) destroy();
    onOutcome(outcome);
  };

  const fail = (failure: ConnectionFailure["failure"], detail: string): void => {
    if (!alive) return;
    if (up) {
      settle({ ok: false, failure, detail, unanswered: !parser.started });
      return;
    }
    destroy();
    onUp({ failure, detail });
  };

  const destroy = (): void => {
    alive = false;
    unsent = null;
    tunnel?.cancel();
    socket?.terminate();
    socket = null;
  };

  const write = (request: string): void => {
    if (!socket) return;
    const written = socket.write(request);
    if (written < 0) broken();
    else if (written < requestBytes) unsent = Buffer.from(request).subarray(written);
  };

  const drain = (): void => {
    if (!unsent || !socket) return;
    const written = socket.write(unsent);
    if (written < 0) broken();
    else unsent = written < unsent.length ? unsent.subarray(written) : null;
  };

  const becomeUp = (): void => {
    up = true;
    onUp(null);
  };

  const receive = (chunk: Buffer): void => {
    if (!alive) return;
    // An answer that nobody asked for: what follows could be taken for the answer to the next request.
    if (!busy) {
      fail("invalid_response", "the receiver sent something before it was asked");
      return;
    }
    const state = parser.push(chunk);
    if (state === "invalid") fail("invalid_response", "what the receiver sent is no HTTP/1.1 response");
    else if (state === "done") settle({ ok: true, response: parser.response });
  };

  /** It has ended, or was lost. A response whose head was read is one all the same. */
  const broken = (): void => {
    if (!alive) return;
    if (busy && parser.end() === "done") settle({ ok: true, response: parser.response });
    else if (proxy)
      fail("proxy_failed", "the proxy, or the receiver behind it, closed the connection without an answer");
    else if (tls && !up) fail("tls_failed", "the receiver closed the connection during the TLS handshake");
    else if (parser.started) fail("invalid_response", "the receiver closed the connection amid its answer");
    else fail("connection_failed", "the receiver closed the connection without an answer");
  };

  const failTls = (fault: TlsFault): void => {
    const altNames = socket?.getPeerCertificate()?.subjectaltname;
    fail("tls_failed", tlsReason(fault, { host: tls?.serverName ?? address, altNames }));
  };

  const handlers: SocketHandler<undefined> = {
    open(opened) {
      socket = opened;
      if (!alive) opened.terminate();
      else if (tls) options.onReached?.();
      else becomeUp();
    },
    handshake(_socket, success, verifyError) {
      // Bun reports a chain or a name that does not hold here, and leaves the refusal to us.
      if ((verifyError as TlsFault | null)?.code === "ECONNRESET") broken();
      else if (verifyError) failTls(verifyError);
      else if (!success) failTls({ message: "" });
      else if (alive) becomeUp();
    },
    data: (_socket, chunk) => receive(chunk),
    drain,
    end: broken,
    close: broken,
    // TLS 1.3 tells of a client that it will not have (no certificate, say) only after the handshake.
    error: (_socket, error) => {
      const { code } = error as NodeJS.ErrnoException;
      if (tls && !parser.started && code === "EPROTO") failTls(error);
      else broken();
    },
    // A shortage shows at this moment only: before the promise below is rejected, others may have ended.
    connectError: () => {
      short = descriptorsAreOut();
    },
  };

  const refused = (failure: "connection_failed" | "proxy_failed", detail: string, isShort: boolean): void =>
    isShort ? fail("out_of_resources", NO_DESCRIPTOR) : fail(failure, detail);

  const connectDirectly = (): void => {
    const to = { hostname: address, port: proxy ? proxy.port : port };
    const detail = `${proxy ? "the proxy " : ""}${placeOf(address, to.port)} refused the connection`;
    Bun.connect<undefined>({ ...to, ...(tls && { tls: tlsOptions(tls) }), socket: handlers }).catch(() =>
      refused(proxy ? "proxy_failed" : "connection_failed", detail, short),
    );
  };

  const connectThrough = (via: HttpProxy, { serverName, ca }: NonNullable<ConnectOptions["tls"]>): Tunnel =>
    openTunnel({
      address,
      proxy: via,
      to: { host: serverName, port },
      onFailed: (failure) => refused("proxy_failed", failure.detail, failure.short),
      onOpen: (raw) => {
        [, socket] = raw.upgradeTLS<undefined>({
          tls: tlsOptions({ serverName, ca }, true),
          socket: handlers,
        });
      },
    });

  if (proxy && tls) tunnel = connectThrough(proxy, tls);
  else connectDirectly();

  return {
    send(request, bytes) {
      if (!alive) {
        const detail = "the connection had ended before the request";
        return onOutcome({ ok: false, failure: "connection_failed", detail, unanswered: true });
      }
      busy = true;
      requestBytes = bytes;
      parser.reset();
      write(request);
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
  };
}

/**
 * SNI has neither a final dot nor addresses (RFC 6066, 3). With no name it is the address of the connection that is
 * verified: in a tunnel that is the proxy's, so that the receiver's has to be named there.
 */
function tlsOptions({ serverName, ca }: NonNullable<ConnectOptions["tls"]>, inTunnel = false) {
  return {
    serverName: isIP(serverName) === 0 || inTunnel ? serverName.replace(/\.$/, "") : "",
    // Said outright: NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment must not weaken it.
    rejectUnauthorized: true,
    ...(ca && { ca: [...ca] }),
  };
}
