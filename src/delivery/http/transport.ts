import { type ConnectionFailure, type ConnectionOutcome, connect } from "./connection.ts";
import { createPool, type Pooled } from "./pool.ts";
import type { ParsedResponse } from "./response-parser.ts";

/** Where a target's requests go: made once for as long as its addresses stay the same. */
export interface Destination {
  readonly secure: boolean;
  /** Host name for the certificate check and SNI, or the literal address. */
  readonly host: string;
  readonly port: number;
  /** Checked addresses, tried in this order, each with the key of its connections. */
  readonly addresses: readonly { readonly address: string; readonly key: string }[];
}

export function createDestination(
  to: Pick<Destination, "secure" | "host" | "port">,
  addresses: readonly string[],
): Destination {
  const { secure, host, port } = to;
  const prefix = `${secure ? "s" : "p"}|${host}|${port}|`;
  return { secure, host, port, addresses: addresses.map((address) => ({ address, key: prefix + address })) };
}

export interface TransportRequest {
  destination: Destination;
  /** The whole HTTP/1.1 request, and its length in bytes as UTF-8. */
  text: string;
  bytes: number;
  /** The present moment of the monotonic clock, and the one by which all must be over. */
  now: number;
  deadline: number;
}

export type TransportOutcome =
  | { ok: true; response: ParsedResponse }
  | { ok: false; failure: ConnectionFailure | "timeout" };

export interface Transport {
  /**
   * Sends one request; `onOutcome` is called once, by the deadline. Calls rather than promises, because this
   * is the path of every attempt: promises and timers of its own took a quarter of its time.
   */
  exchange(request: TransportRequest, onOutcome: (outcome: TransportOutcome) => void): void;
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

/** A request, and whom to tell of its outcome. */
interface Asked {
  readonly request: TransportRequest;
  readonly onOutcome: (outcome: TransportOutcome) => void;
}

/** A request under way on one connection. */
interface Exchange extends Asked {
  readonly pooled: Pooled<Exchange>;
  /** Position of the address that is tried; -1 on a connection that was there already. */
  readonly index: number;
  /** When this connection is given up: first for not being up, then for not having answered. */
  expiresAt: number;
}

/** HTTP over pooled connections, keyed by target and checked address: a name that changes its answer never inherits one. */
export function createTransport({
  ca,
  maxIdle = MAX_IDLE_CONNECTIONS,
  idleMs = IDLE_MS,
}: TransportOptions): Transport {
  const pool = createPool<Exchange>(maxIdle, idleMs);
  const active = new Set<Exchange>();
  const timer = createSharedTimer(() => expireLate());

  const begin = (exchange: Exchange): void => {
    const { request, pooled } = exchange;
    active.add(exchange);
    timer.by(exchange.expiresAt);
    pooled.exchange = exchange;
    pooled.connection.send(request.text, request.bytes);
  };

  /** What has come of the request that a connection carries. */
  const settle = (pooled: Pooled<Exchange>, outcome: ConnectionOutcome): void => {
    const { exchange } = pooled;
    pooled.exchange = null;
    if (exchange) finish(exchange, outcome);
    else pool.remove(pooled);
  };

  const beginFresh = ({ request, onOutcome }: Asked, index: number): void => {
    const { addresses, host, port, secure } = request.destination;
    const at = addresses[index];
    if (!at) {
      onOutcome({ ok: false, failure: "connection_failed" });
      return;
    }
    const tls = secure ? { serverName: host, ca } : null;
    const connection = connect({
      address: at.address,
      port,
      tls,
      onOutcome: (outcome) => settle(pooled, outcome),
    });
    const pooled: Pooled<Exchange> = { connection, key: at.key, exchange: null, expiresAt: 0 };
    const expiresAt = shareOfTime(request.deadline, addresses.length - index);
    begin({ request, onOutcome, pooled, index, expiresAt });
  };

  const finish = (exchange: Exchange, outcome: ConnectionOutcome): void => {
    active.delete(exchange);
    if (outcome.ok) {
      if (outcome.response.reusable) pool.put(exchange.pooled, outcome.response.keepAliveMs);
      exchange.onOutcome(outcome);
    } else if (exchange.index < 0 && outcome.unanswered) {
      // The other side had just closed a connection that we took for warm.
      beginFresh(exchange, 0);
    } else giveUp(exchange, outcome.failure);
  };

  /** Goes on to the next address, unless a request may have reached this one. */
  const giveUp = (exchange: Exchange, failure: ConnectionFailure | "timeout"): void => {
    const { index, request } = exchange;
    const last = index === request.destination.addresses.length - 1;
    if (index < 0 || last || exchange.pooled.connection.sent) exchange.onOutcome({ ok: false, failure });
    else beginFresh(exchange, index + 1);
  };

  const expire = (exchange: Exchange, now: number): void => {
    const { connection } = exchange.pooled;
    if (connection.sent && exchange.request.deadline > now) {
      exchange.expiresAt = exchange.request.deadline;
      return;
    }
    active.delete(exchange);
    const response = connection.cut();
    if (response) exchange.onOutcome({ ok: true, response });
    else giveUp(exchange, "timeout");
  };

  const expireLate = (): void => {
    const now = performance.now();
    for (const exchange of active) if (exchange.expiresAt <= now) expire(exchange, now);
    for (const { expiresAt } of active) timer.by(expiresAt);
  };

  const takeWarm = ({ destination: { addresses }, now }: TransportRequest): Pooled<Exchange> | null => {
    for (let i = 0; i < addresses.length; i += 1) {
      const pooled = pool.take((addresses[i] as { key: string }).key, now);
      if (pooled) return pooled;
    }
    return null;
  };

  return {
    exchange(request, onOutcome) {
      const pooled = takeWarm(request);
      if (pooled) begin({ request, onOutcome, pooled, index: -1, expiresAt: request.deadline });
      else beginFresh({ request, onOutcome }, 0);
    },
    idleConnections: pool.size,
    close() {
      timer.stop();
      pool.close();
    },
  };
}

/** An address that does not answer must leave time for those behind it. */
function shareOfTime(deadline: number, addressesLeft: number): number {
  if (addressesLeft === 1) return deadline;
  const now = performance.now();
  return now + Math.max(0, deadline - now) / addressesLeft;
}

/** One timer for everything that has a deadline: requests come and go by the thousand, deadlines hardly ever pass. */
function createSharedTimer(run: () => void) {
  let due = Number.POSITIVE_INFINITY;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const fire = (): void => {
    due = Number.POSITIVE_INFINITY;
    run();
  };
  return {
    /** Has `run` called by a moment of the monotonic clock, or before. */
    by(moment: number): void {
      if (moment >= due) return;
      due = moment;
      clearTimeout(timer);
      timer = setTimeout(fire, Math.max(0, Math.ceil(moment - performance.now())));
    },
    stop(): void {
      clearTimeout(timer);
      due = Number.POSITIVE_INFINITY;
    },
  };
}
