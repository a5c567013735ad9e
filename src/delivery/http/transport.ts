import type { Connection, ConnectionFailure, ConnectionOutcome } from "./connection.ts";
import type { Destination, DestinationAddress } from "./destination.ts";
import { type Dial, type DialProgress, dial } from "./dial.ts";
import { createHandshakes } from "./handshakes.ts";
import { createPool, createPooled, type Pooled } from "./pool.ts";
import { PROXY_REFUSALS, proxyRefusal } from "./proxy.ts";
import { placeOf } from "./reasons.ts";
import type { ParsedResponse } from "./response-parser.ts";
import { createSharedTimer } from "./shared-timer.ts";
import { connect } from "./socket-connection.ts";
import { createWorkedAddresses } from "./worked-addresses.ts";

export interface TransportRequest {
  destination: Destination;
  /** The whole HTTP/1.1 request, and its length in bytes as UTF-8. */
  text: string;
  bytes: number;
  /** The present moment of the monotonic clock, and the one by which all must be over. */
  now: number;
  deadline: number;
}

export interface TransportFailure {
  failure: ConnectionFailure["failure"] | "timeout";
  /** For a person. */
  detail: string;
}

export type TransportOutcome = { ok: true; response: ParsedResponse } | ({ ok: false } & TransportFailure);

export interface Transport {
  /**
   * Sends one request; `onOutcome` is called once, by the deadline. Calls rather than promises, because this
   * is the path of every attempt: promises and timers of its own took a quarter of its time.
   */
  exchange(request: TransportRequest, onOutcome: (outcome: TransportOutcome) => void): void;
  idleConnections(): number;
  /** TLS connections that have been in the opening for less than about a second. */
  handshakes(): number;
  /** Closes them: somebody else needs their descriptors. */
  closeIdle(): void;
  close(): void;
}

export interface TransportOptions {
  /** PEM roots beside Bun's own; null for those alone. */
  ca: readonly string[] | null;
  /** Open at once, idle ones included: for one more, the one that has idled longest is closed. */
  maxConnections?: number;
  maxIdle?: number;
  idleMs?: number;
  /** A request was not sent because no file descriptor was left. */
  onShortage?: () => void;
}

/** Enough to keep hundreds of TLS hosts warm; the least recently used one goes first. */
const MAX_IDLE_CONNECTIONS = 512;
/** Shorter than what common servers and load balancers keep an idle connection for. */
const IDLE_MS = 30_000;
/** A server's word for a connection that it has closed for being idle (RFC 9110, 15.5.9). */
const REQUEST_TIMEOUT = 408;

/** A request under way, and whom to tell of its outcome. */
interface Exchange {
  readonly request: TransportRequest;
  readonly onOutcome: (outcome: TransportOutcome) => void;
  /** While it waits for a connection. */
  dial: Dial | null;
  /** What `handshakes` answered for that. */
  begunIn: number;
  /** Whether a receiver was reached, and TLS is what is left. */
  reached: boolean;
  /** What carries it. */
  pooled: Pooled<Exchange> | null;
  /** Whether that was there already. */
  warm: boolean;
}

/** HTTP over pooled connections, keyed by target and checked address: a name that changes its answer never inherits one. */
export function createTransport({
  ca,
  maxConnections = Number.POSITIVE_INFINITY,
  maxIdle = MAX_IDLE_CONNECTIONS,
  idleMs = IDLE_MS,
  onShortage = () => {},
}: TransportOptions): Transport {
  const pool = createPool<Exchange>(maxIdle, idleMs);
  const active = new Set<Exchange>();
  const timer = createSharedTimer(() => expireLate());
  const worked = createWorkedAddresses();
  const handshakes = createHandshakes();

  const noteDial = (exchange: Exchange, next: Dial | null): void => {
    if (exchange.request.destination.secure) {
      if (exchange.dial) handshakes.end(exchange.begunIn);
      if (next) exchange.begunIn = handshakes.begin(performance.now());
    }
    exchange.dial = next;
  };

  const send = (exchange: Exchange, pooled: Pooled<Exchange>, warm: boolean): void => {
    const { text, bytes } = exchange.request;
    noteDial(exchange, null);
    exchange.pooled = pooled;
    exchange.warm = warm;
    pooled.exchange = exchange;
    pooled.connection.send(text, bytes);
  };

  const dialFor = (exchange: Exchange): void => {
    const { destination, deadline } = exchange.request;
    if (active.size + pool.size() > maxConnections) pool.closeOldest();
    const pooledOf = new Map<Connection, Pooled<Exchange>>();
    exchange.pooled = null;
    exchange.reached = false;
    const begun = dial({
      addresses: worked.inOrder(destination),
      deadline,
      connect: (to, progress) => {
        const pooled = open(exchange, to, progress);
        pooledOf.set(pooled.connection, pooled);
        return pooled.connection;
      },
      onConnected: (connection, { key }) => {
        worked.note(destination, key);
        send(exchange, pooledOf.get(connection) as Pooled<Exchange>, false);
      },
      onFailed: (failure) => {
        const isShort = failure.failure === "out_of_resources";
        // An idle connection is worth less than one that is needed.
        if (isShort && pool.closeOldest()) return dialFor(exchange);
        if (isShort) onShortage();
        finish(exchange, { ok: false, ...failure });
      },
    });
    noteDial(exchange, begun);
  };

  const open = (
    exchange: Exchange,
    { address, key }: DestinationAddress,
    { onReached, onUp }: DialProgress,
  ): Pooled<Exchange> => {
    const { secure, host, port, proxy } = exchange.request.destination;
    const ends = { address, port, tls: secure ? { serverName: host, ca } : null, proxy };
    const reached = (): void => {
      exchange.reached = true;
      onReached();
    };
    return createPooled(key, settle, (onOutcome) =>
      connect({ ...ends, onReached: reached, onUp, onOutcome }),
    );
  };

  /** What has come of the request that a connection carries. */
  const settle = (pooled: Pooled<Exchange>, outcome: ConnectionOutcome): void => {
    const { exchange } = pooled;
    pooled.exchange = null;
    if (!exchange) pool.remove(pooled);
    else if (exchange.warm && hadClosed(outcome)) {
      pooled.connection.destroy();
      dialFor(exchange);
    } else {
      if (outcome.ok && outcome.response.reusable) pool.put(pooled, outcome.response.keepAliveMs);
      finish(exchange, outcome);
    }
  };

  const finish = (exchange: Exchange, outcome: TransportOutcome): void => {
    active.delete(exchange);
    noteDial(exchange, null);
    const refusal = outcome.ok ? refusalOf(exchange.request.destination, outcome.response) : null;
    exchange.onOutcome(refusal ?? outcome);
  };

  /** What there is of it at its deadline. */
  const expire = (exchange: Exchange): void => {
    const { dial: dialling, pooled, request } = exchange;
    dialling?.cancel();
    const response = pooled?.connection.cut();
    if (response) finish(exchange, { ok: true, response });
    else if (!dialling) finish(exchange, late("timeout", "the receiver gave no answer in time"));
    else finish(exchange, unconnected(request.destination, exchange.reached));
  };

  const expireLate = (): void => {
    const now = performance.now();
    for (const exchange of active) if (exchange.request.deadline <= now) expire(exchange);
    for (const { request } of active) timer.by(request.deadline);
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
      const exchange: Exchange = {
        request,
        onOutcome,
        dial: null,
        begunIn: 0,
        reached: false,
        pooled: null,
        warm: false,
      };
      active.add(exchange);
      timer.by(request.deadline);
      const pooled = takeWarm(request);
      if (pooled) send(exchange, pooled, true);
      else dialFor(exchange);
    },
    idleConnections: pool.size,
    handshakes: () => handshakes.underWay(performance.now()),
    closeIdle() {
      while (pool.closeOldest());
    },
    close() {
      timer.stop();
      pool.close();
    },
  };
}

/** Whether the other side had given up a connection that we took for warm, just as the request went out. */
function hadClosed(outcome: ConnectionOutcome): boolean {
  return outcome.ok ? outcome.response.status === REQUEST_TIMEOUT : outcome.unanswered;
}

function late(failure: TransportFailure["failure"], detail: string): TransportOutcome {
  return { ok: false, failure, detail };
}

/** No connection was up in time. */
function unconnected({ port, proxy, addresses }: Destination, reached: boolean): TransportOutcome {
  if (reached) return late("timeout", "the receiver did not end the TLS handshake in time");
  const places = addresses.slice(0, 3).map(({ address }) => placeOf(address, proxy ? proxy.port : port));
  if (proxy) return late("proxy_failed", `the proxy ${places.join(", ")} did not connect in time`);
  return late("timeout", `no connection to ${places.join(", ")} in time`);
}

/** A proxy's own answer to a request in plain HTTP: what it passes on, it marks with Via (RFC 9110, 7.6.3). */
function refusalOf({ secure, proxy }: Destination, { status, via }: ParsedResponse): TransportOutcome | null {
  if (!proxy || secure || via || !PROXY_REFUSALS.has(status)) return null;
  return late("proxy_failed", proxyRefusal(status, proxy));
}
