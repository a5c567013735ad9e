import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";

/** A receiver that answers with whatever bytes a test wants. */
export interface RawReceiver {
  port: number;
  /** Connections accepted so far. */
  connections: number;
  /** Connections open now. */
  sockets: Set<Socket>;
  /** Whole requests, head and body. */
  requests: string[];
  /** Bytes that arrived on a socket after its TLS handshake, if it has one. */
  bytes: number;
  /** Names that TLS clients asked for, in order; false for none. */
  serverNames: (string | false)[];
  stop(): Promise<void>;
}

export interface RawReceiverOptions {
  host?: string;
  port?: number;
  tls?: TlsOptions;
  /** Called at once, before any byte. */
  onConnection?: (socket: Socket) => void;
  /** Called for each whole request; the number counts from 0 on each connection. */
  onRequest?: (socket: Socket, request: string, nth: number) => void;
}

/** `HTTP/1.1 200 OK` with this body, and the connection kept. */
export function ok(body = "ok", fields = ""): string {
  return `HTTP/1.1 200 OK\r\n${fields}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** A real server on loopback that speaks no HTTP of its own. */
export async function startRawReceiver(options: RawReceiverOptions = {}): Promise<RawReceiver> {
  const { host = "127.0.0.1", port = 0, tls, onRequest = (socket) => socket.write(ok()) } = options;
  const receiver: RawReceiver = {
    port: 0,
    connections: 0,
    sockets: new Set(),
    requests: [],
    bytes: 0,
    serverNames: [],
    stop: () => stop(server, receiver),
  };
  const accept = (socket: Socket): void => {
    socket.on("error", () => {});
    if (tls) receiver.serverNames.push((socket as unknown as { servername: string | false }).servername);
    options.onConnection?.(socket);
    readRequests(socket, receiver, onRequest);
  };
  const server = tls ? createTlsServer(tls, accept) : createServer(accept);
  server.on("tlsClientError", () => {});
  server.on("connection", (socket: Socket) => {
    receiver.connections += 1;
    receiver.sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => receiver.sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, host, () => resolve());
  });
  receiver.port = (server.address() as { port: number }).port;
  return receiver;
}

async function stop(server: Server, { sockets }: RawReceiver): Promise<void> {
  for (const socket of sockets) socket.destroy();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

function readRequests(
  socket: Socket,
  receiver: RawReceiver,
  onRequest: NonNullable<RawReceiverOptions["onRequest"]>,
): void {
  let held = Buffer.alloc(0);
  let nth = 0;
  socket.on("data", (chunk: Buffer) => {
    receiver.bytes += chunk.length;
    held = Buffer.concat([held, chunk]);
    for (let size = requestSize(held); size <= held.length; size = requestSize(held)) {
      const request = held.toString("utf8", 0, size);
      held = held.subarray(size);
      receiver.requests.push(request);
      onRequest(socket, request, nth);
      nth += 1;
    }
  });
}

/** Bytes of the first request; infinite while its head is not whole. */
function requestSize(bytes: Buffer): number {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return Number.POSITIVE_INFINITY;
  const length = /\r\ncontent-length: *(\d+)/i.exec(bytes.toString("latin1", 0, end))?.[1];
  return end + 4 + Number(length ?? 0);
}
