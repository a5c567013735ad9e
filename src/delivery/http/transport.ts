import { type Connection, type ConnectionFailure, type ConnectionOutcome, connect } from "./connection.ts";
import type { ParsedResponse } from "./response-parser.ts";

/** A request to a target whose addresses were checked. */
export interface TransportRequest {
  secure: boolean;
  /** Host name for the certificate check and SNI, or the literal address. */
  host: string;
  port: number;
  /** Checked addresses, tried in this order. */
  addresses: readonly string[];
  /** The whole HTTP/1.1 request. */
  request: string;
  /** Moment of the monotonic clock by which all must be over. */
  deadline: number;
}

export type TransportOutcome =
  | { ok: true; response: ParsedResponse }
  | { ok: false; failure: ConnectionFailure | "timeout" };

export interface Transport {
  /** Sends one request; never throws and always ends by its deadline. */
  exchange(request: TransportRequest): Promise<TransportOutcome>;
  idleConnections(): number;
  close(): void;
}

export interface TransportOptions {
  /** PEM roots beside Bun's own; null for those alone. */
  ca: readonly string[] | null;
  maxIdle?: number;
  idleMs?: number;
}

/** Enough to keep hundreds of TLS hosts warm; the least recently used one goes first. */
const MAX_IDLE_CONNECTIONS = 512;
/** Shorter than what common servers and load balancers keep an idle connection for. */
const IDLE_MS = 30_000;

/** HTTP over pooled connections, keyed by target and checked address: a name that changes its answer never inherits one. */
export function createTransport({
  ca,
  maxIdle = MAX_IDLE_CONNECTIONS,
  idleMs = IDLE_MS,
}: TransportOptions): Transport {
  const pool = createPool(maxIdle, idleMs);

  const over = async (connection: Connection, key: string, request: TransportRequest, connectBy: number) => {
    const outcome = await exchangeOver(connection, request, connectBy);
    if (outcome.ok && outcome.response.reusable) pool.put(key, connection, outcome.response.keepAliveMs);
    return outcome;
  };

  /** Null when there is no warm connection, or when it had just been closed by the other side without an answer. */
  const overWarm = async (request: TransportRequest): Promise<TransportOutcome | null> => {
    for (const address of request.addresses) {
      const key = keyOf(request, address);
      const connection = pool.take(key);
      if (!connection) continue;
      const outcome = await over(connection, key, request, request.deadline);
      return !outcome.ok && outcome.failure !== "timeout" && outcome.unanswered ? null : outcome;
    }
    return null;
  };

  const overFresh = async (request: TransportRequest): Promise<TransportOutcome> => {
    const { addresses, host, port, secure } = request;
    for (let index = 0; ; index += 1) {
      const address = addresses[index];
      if (address === undefined) return { ok: false, failure: "connection_failed" };
      const connection = connect({ address, port, tls: secure ? { serverName: host, ca } : null });
      const last = index === addresses.length - 1;
      const connectBy = last ? request.deadline : shareOfTime(request.deadline, addresses.length - index);
      const outcome = await over(connection, keyOf(request, address), request, connectBy);
      if (outcome.ok || last || connection.sent) return outcome;
    }
  };

  return {
    exchange: async (request) => (await overWarm(request)) ?? (await overFresh(request)),
    idleConnections: pool.size,
    close: pool.close,
  };
}

function keyOf({ secure, host, port }: TransportRequest, address: string): string {
  return `${secure ? "s" : "p"}|${host}|${port}|${address}`;
}

/** An address that does not answer must leave time for those behind it. */
function shareOfTime(deadline: number, addressesLeft: number): number {
  const now = performance.now();
  return now + Math.max(0, deadline - now) / addressesLeft;
}

type ExchangeOutcome = ConnectionOutcome | { ok: false; failure: "timeout" };

/** One request on one connection; a connection that is not up by `connectBy`, or not done by the deadline, is given up. */
function exchangeOver(
  connection: Connection,
  request: TransportRequest,
  connectBy: number,
): Promise<ExchangeOutcome> {
  return new Promise((resolve) => {
    const expire = (): void => {
      const left = request.deadline - performance.now();
      if (connection.sent && left > 1) {
        timer = setTimeout(expire, left);
        return;
      }
      connection.destroy();
      resolve({ ok: false, failure: "timeout" });
    };
    let timer = setTimeout(expire, Math.max(0, connectBy - performance.now()));
    connection.send(request.request, (outcome) => {
      clearTimeout(timer);
      resolve(outcome);
    });
  });
}

interface Pooled {
  connection: Connection;
  key: string;
  expiresAt: number;
}

interface Pool {
  take(key: string): Connection | null;
  put(key: string, connection: Connection, keepAliveMs: number | null): void;
  size(): number;
  close(): void;
}

const SWEEP_MS = 1_000;
/** We close this long before the other side says that it will. */
const KEEP_ALIVE_MARGIN_MS = 1_000;

/** Idle connections by key, the latest used first; over the limit the least recently used of all goes. */
function createPool(maxIdle: number, idleMs: number): Pool {
  const byKey = new Map<string, Pooled[]>();
  const byAge = new Set<Pooled>();

  const remove = (pooled: Pooled): void => {
    byAge.delete(pooled);
    const list = byKey.get(pooled.key);
    if (!list) return;
    const index = list.lastIndexOf(pooled);
    if (index >= 0) list.splice(index, 1);
    if (list.length === 0) byKey.delete(pooled.key);
  };

  const close = (pooled: Pooled): void => {
    remove(pooled);
    pooled.connection.onIdleEnd = null;
    pooled.connection.destroy();
  };

  const sweep = (): void => {
    const now = performance.now();
    for (const pooled of byAge) if (pooled.expiresAt <= now) close(pooled);
  };
  const timer = setInterval(sweep, SWEEP_MS);
  timer.unref();

  return {
    take(key) {
      const list = byKey.get(key);
      const pooled = list?.at(-1);
      if (!pooled) return null;
      remove(pooled);
      pooled.connection.onIdleEnd = null;
      if (pooled.expiresAt > performance.now()) return pooled.connection;
      pooled.connection.destroy();
      return null;
    },
    put(key, connection, keepAliveMs) {
      const limit = keepAliveMs === null ? idleMs : Math.min(idleMs, keepAliveMs - KEEP_ALIVE_MARGIN_MS);
      // It may have ended between its answer and now.
      if (!connection.alive) return;
      if (limit <= 0) return connection.destroy();
      const pooled = { connection, key, expiresAt: performance.now() + limit };
      connection.onIdleEnd = () => remove(pooled);
      byAge.add(pooled);
      const list = byKey.get(key);
      if (list) list.push(pooled);
      else byKey.set(key, [pooled]);
      if (byAge.size > maxIdle) for (const oldest of byAge) return close(oldest);
    },
    size: () => byAge.size,
    close() {
      clearInterval(timer);
      for (const pooled of byAge) close(pooled);
    },
  };
}
