import type { Socket } from "bun";
import { descriptorsAreOut } from "../../descriptors.ts";
import { type HttpProxy, proxyRefusal } from "./proxy.ts";
import { placeOf } from "./reasons.ts";
import { headEnd, parseHead } from "./response-head.ts";

export interface TunnelOptions {
  /** The proxy's IP address. */
  address: string;
  proxy: HttpProxy;
  /** Host and port to be connected to, as the proxy is to read them. */
  to: { host: string; port: number };
  /** The tunnel is open: the socket leads to the receiver. */
  onOpen: (socket: Socket<undefined>) => void;
  /** Never before `openTunnel` has returned. */
  onFailed: (failure: TunnelFailure) => void;
}

export interface TunnelFailure {
  /** For a person. */
  detail: string;
  /** With what the proxy answered CONNECT; null when it did not. */
  status: number | null;
  /** No file descriptor was left to ask it. */
  short: boolean;
}

export interface Tunnel {
  /** Gives it up without telling anybody; nothing happens once it is open. */
  cancel(): void;
}

const MAX_ANSWER_BYTES = 16 * 1024;

/** Asks an HTTP proxy for a tunnel (CONNECT; RFC 9110, 9.3.6). What goes through it is not looked at here. */
export function openTunnel({ address, proxy, to, onOpen, onFailed }: TunnelOptions): Tunnel {
  const place = placeOf(address, proxy.port);
  let socket: Socket<undefined> | null = null;
  let answer: Buffer = Buffer.alloc(0);
  let over = false;
  let short = false;

  const fail = (detail: string, status: number | null = null): void => {
    if (over) return;
    over = true;
    socket?.terminate();
    onFailed({ detail, status, short });
  };

  const receive = (chunk: Buffer): void => {
    if (over) return;
    answer = Buffer.concat([answer, chunk]);
    const end = headEnd(answer);
    if (!end) {
      if (answer.length > MAX_ANSWER_BYTES) fail("the proxy's answer to CONNECT has no end");
      return;
    }
    const status = parseHead(answer.toString("latin1", 0, end.head))?.status;
    if (status === undefined) fail(`${place} does not answer as an HTTP proxy does`);
    else if (status < 200 || status > 299) fail(proxyRefusal(status, proxy), status);
    // A receiver of TLS waits for us: what comes before is the proxy's, and none of it may reach the handshake.
    else if (end.next < answer.length) fail("the proxy sent something of its own into the tunnel");
    else {
      over = true;
      onOpen(socket as Socket<undefined>);
    }
  };

  Bun.connect<undefined>({
    hostname: address,
    port: proxy.port,
    socket: {
      open(opened) {
        socket = opened;
        if (over) return void opened.terminate();
        const request = connectRequest(to, proxy);
        // It is far shorter than what a new socket takes at once.
        if (opened.write(request) < request.length) fail("the proxy takes no request");
      },
      data: (_socket, chunk) => receive(chunk),
      end: () => fail("the proxy closed the connection without an answer to CONNECT"),
      close: () => fail("the proxy closed the connection without an answer to CONNECT"),
      error: () => fail("the proxy closed the connection without an answer to CONNECT"),
      connectError: () => {
        short = descriptorsAreOut();
      },
    },
  }).catch(() => fail(`the proxy ${place} refused the connection`));

  return {
    cancel() {
      if (over) return;
      over = true;
      socket?.terminate();
    },
  };
}

function connectRequest({ host, port }: TunnelOptions["to"], { authorization }: HttpProxy): string {
  const authority = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const credentials = authorization === null ? "" : `Proxy-Authorization: ${authorization}\r\n`;
  return `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${credentials}\r\n`;
}
