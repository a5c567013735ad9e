import { isIP } from "node:net";
import type { Socket, SocketHandler } from "bun";
import { descriptorsAreOut, NO_DESCRIPTOR } from "../../descriptors.ts";
import type { Connection, ConnectionFailure, ConnectionOutcome, ConnectOptions } from "./connection.ts";
import type { HttpProxy } from "./proxy.ts";
import { placeOf, type TlsFault, tlsReason } from "./reasons.ts";
import { createResponseParser, type ParsedResponse, type ResponseParser } from "./response-parser.ts";
import { openTunnel, type Tunnel } from "./tunnel.ts";

/** Connects in the background and never throws. */
export function connect(options: ConnectOptions): Connection {
  return new SocketConnection(options);
}

/**
 * A class, and one set of handlers for all sockets: with functions of its own for each, 4,096 connections held
 * 12 MB more, and the collector let memory grow by five times that.
 */
class SocketConnection implements Connection {
  readonly #address: string;
  readonly #tls: ConnectOptions["tls"];
  readonly #throughProxy: boolean;
  readonly #parser: ResponseParser = createResponseParser();
  readonly #onOutcome: ConnectOptions["onOutcome"];
  /** Let go of once they have been called. */
  #onReached: ConnectOptions["onReached"];
  #onUp: ConnectOptions["onUp"] | null;
  #socket: Socket<SocketConnection> | null = null;
  #tunnel: Tunnel | null = null;
  #alive = true;
  #requestBytes = 0;
  #unsent: Buffer | null = null;
  #busy = false;
  #short = false;

  constructor({ address, port, tls, proxy = null, onReached, onUp, onOutcome }: ConnectOptions) {
    this.#address = address;
    this.#tls = tls;
    this.#throughProxy = proxy !== null;
    this.#onReached = onReached;
    this.#onUp = onUp;
    this.#onOutcome = onOutcome;
    if (proxy && tls) this.#tunnel = this.#connectThrough(proxy, tls, port);
    else this.#connectDirectly(proxy ? proxy.port : port);
  }

  get alive(): boolean {
    return this.#alive;
  }

  send(request: string, bytes: number): void {
    if (!this.#alive) {
      const detail = "the connection had ended before the request";
      this.#onOutcome({ ok: false, failure: "connection_failed", detail, unanswered: true });
      return;
    }
    this.#busy = true;
    this.#requestBytes = bytes;
    this.#parser.reset();
    this.#write(request);
  }

  destroy(): void {
    this.#alive = false;
    this.#unsent = null;
    this.#tunnel?.cancel();
    this.#socket?.terminate();
    this.#socket = null;
  }

  cut(): ParsedResponse | null {
    const response = this.#busy && this.#parser.end() === "done" ? this.#parser.response : null;
    this.destroy();
    return response;
  }

  // ── what the socket tells ─────────────────────────────────────────────────────────────────────────

  opened(socket: Socket<SocketConnection>): void {
    this.#socket = socket;
    if (!this.#alive) socket.terminate();
    else if (this.#tls) this.#onReached?.();
    else this.#becomeUp();
  }

  shaken(success: boolean, verifyError: TlsFault | null): void {
    // Bun reports a chain or a name that does not hold here, and leaves the refusal to us.
    if (verifyError?.code === "ECONNRESET") this.broken();
    else if (verifyError) this.#failTls(verifyError);
    else if (!success) this.#failTls({ message: "" });
    else if (this.#alive) this.#becomeUp();
  }

  received(chunk: Buffer): void {
    if (!this.#alive) return;
    // An answer that nobody asked for: what follows could be taken for the answer to the next request.
    if (!this.#busy) {
      this.#fail("invalid_response", "the receiver sent something before it was asked");
      return;
    }
    const state = this.#parser.push(chunk);
    if (state === "invalid") this.#fail("invalid_response", this.#parser.problem);
    else if (state === "done") this.#settle({ ok: true, response: this.#parser.response });
  }

  drained(): void {
    if (!this.#unsent || !this.#socket) return;
    const written = this.#socket.write(this.#unsent);
    if (written < 0) this.broken();
    else this.#unsent = written < this.#unsent.length ? this.#unsent.subarray(written) : null;
  }

  /** It has ended, or was lost. A response whose head was read is one all the same. */
  broken(): void {
    if (!this.#alive) return;
    if (this.#busy && this.#parser.end() === "done")
      this.#settle({ ok: true, response: this.#parser.response });
    else if (this.#throughProxy)
      this.#fail(
        "proxy_failed",
        "the proxy, or the receiver behind it, closed the connection without an answer",
      );
    else if (this.#tls && !this.#isUp)
      this.#fail("tls_failed", "the receiver closed the connection during the TLS handshake");
    else if (this.#parser.started)
      this.#fail("invalid_response", "the receiver closed the connection amid its answer");
    else this.#fail("connection_failed", "the receiver closed the connection without an answer");
  }

  failed(error: NodeJS.ErrnoException): void {
    // TLS 1.3 tells of a client that it will not have (no certificate, say) only after the handshake.
    if (this.#tls && !this.#parser.started && error.code === "EPROTO") this.#failTls(error);
    else this.broken();
  }

  /** A shortage shows at this moment only: before the promise of the connection is rejected, others may have ended. */
  notConnected(): void {
    this.#short = descriptorsAreOut();
  }

  // ── what comes of it ──────────────────────────────────────────────────────────────────────────────

  get #isUp(): boolean {
    return this.#onUp === null;
  }

  #becomeUp(): void {
    const tell = this.#onUp;
    this.#onUp = null;
    this.#onReached = undefined;
    tell?.(null);
  }

  #settle(outcome: ConnectionOutcome): void {
    this.#busy = false;
    // An answer that came before the whole request was out: the rest of it would run into the next one.
    if (outcome.ok && this.#unsent !== null) outcome.response.reusable = false;
    if (!outcome.ok || !outcome.response.reusable) this.destroy();
    this.#onOutcome(outcome);
  }

  #fail(failure: ConnectionFailure["failure"], detail: string): void {
    if (!this.#alive) return;
    if (this.#isUp) {
      this.#settle({ ok: false, failure, detail, unanswered: !this.#parser.started });
      return;
    }
    this.destroy();
    this.#onUp?.({ failure, detail });
  }

  #failTls(fault: TlsFault): void {
    const altNames = this.#socket?.getPeerCertificate()?.subjectaltname;
    this.#fail("tls_failed", tlsReason(fault, { host: this.#tls?.serverName ?? this.#address, altNames }));
  }

  #write(request: string): void {
    if (!this.#socket) return;
    const written = this.#socket.write(request);
    if (written < 0) this.broken();
    else if (written < this.#requestBytes) this.#unsent = Buffer.from(request).subarray(written);
  }

  // ── connecting ────────────────────────────────────────────────────────────────────────────────────

  #connectDirectly(port: number): void {
    const kind = this.#throughProxy ? "proxy_failed" : "connection_failed";
    Bun.connect<SocketConnection>({
      hostname: this.#address,
      port,
      ...(this.#tls && { tls: tlsOptions(this.#tls) }),
      data: this,
      socket: HANDLERS,
    }).catch(() => {
      const place = `${this.#throughProxy ? "the proxy " : ""}${placeOf(this.#address, port)}`;
      this.#refused(kind, `${place} refused the connection`, this.#short);
    });
  }

  #connectThrough(via: HttpProxy, tls: NonNullable<ConnectOptions["tls"]>, port: number): Tunnel {
    return openTunnel({
      address: this.#address,
      proxy: via,
      to: { host: tls.serverName, port },
      onFailed: (failure) => this.#refused("proxy_failed", failure.detail, failure.short),
      onOpen: (raw) => {
        [, this.#socket] = raw.upgradeTLS<SocketConnection>({
          tls: tlsOptions(tls, true),
          data: this,
          socket: HANDLERS,
        });
      },
    });
  }

  #refused(failure: "connection_failed" | "proxy_failed", detail: string, isShort: boolean): void {
    if (isShort) this.#fail("out_of_resources", NO_DESCRIPTOR);
    else this.#fail(failure, detail);
  }
}

const HANDLERS: SocketHandler<SocketConnection> = {
  open: (socket) => socket.data.opened(socket),
  handshake: (socket, success, verifyError) => socket.data.shaken(success, verifyError as TlsFault | null),
  data: (socket, chunk) => socket.data.received(chunk),
  drain: (socket) => socket.data.drained(),
  end: (socket) => socket.data.broken(),
  close: (socket) => socket.data.broken(),
  error: (socket, error) => socket.data.failed(error),
  connectError: (socket) => socket.data.notConnected(),
};

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
