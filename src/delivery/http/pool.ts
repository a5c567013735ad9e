import type { Connection } from "./connection.ts";

/** A connection and where it leads; the same object for as long as the connection lives. */
export interface Pooled<Exchange> {
  readonly connection: Connection;
  readonly key: string;
  /** What it carries; null while it idles. */
  exchange: Exchange | null;
  /** Monotonic moment until which it may idle. */
  expiresAt: number;
}

/**
 * Opens a connection for the pool. A function of its own, as its listener lives as long as the connection and keeps
 * alive all that its scope has: where it was made beside the dial, each connection kept the dial that had opened it.
 */
export function createPooled<Exchange, Outcome>(
  key: string,
  settle: (pooled: Pooled<Exchange>, outcome: Outcome) => void,
  open: (onOutcome: (outcome: Outcome) => void) => Connection,
): Pooled<Exchange> {
  const listening: { pooled: Pooled<Exchange> | null } = { pooled: null };
  // Nothing comes of a connection before it is made.
  const connection = open((outcome) => settle(listening.pooled as Pooled<Exchange>, outcome));
  listening.pooled = { connection, key, exchange: null, expiresAt: 0 };
  return listening.pooled;
}

/** Idle connections by key, the latest used first; over the limit the least recently used of all goes. */
export interface Pool<Exchange> {
  take(key: string, now: number): Pooled<Exchange> | null;
  /** `keepAliveMs` is what the receiver says of how long it keeps an idle connection; null when it does not say. */
  put(pooled: Pooled<Exchange>, keepAliveMs: number | null): void;
  /** Forgets one that has ended by itself. */
  remove(pooled: Pooled<Exchange>): void;
  /** Closes the one that has idled longest; false when there is none. */
  closeOldest(): boolean;
  size(): number;
  close(): void;
}

const SWEEP_MS = 1_000;
/** We close this long before the other side says that it will. */
const KEEP_ALIVE_MARGIN_MS = 1_000;

export function createPool<Exchange>(maxIdle: number, idleMs: number): Pool<Exchange> {
  type Entry = Pooled<Exchange>;
  const byKey = new Map<string, Entry[]>();
  const byAge = new Set<Entry>();

  const remove = (pooled: Entry): void => {
    if (!byAge.delete(pooled)) return;
    const list = byKey.get(pooled.key) as Entry[];
    if (list.at(-1) === pooled) list.pop();
    else list.splice(list.indexOf(pooled), 1);
  };

  const close = (pooled: Entry): void => {
    remove(pooled);
    pooled.connection.destroy();
  };

  const closeOldest = (): boolean => {
    for (const oldest of byAge) {
      close(oldest);
      return true;
    }
    return false;
  };

  const sweep = (): void => {
    const now = performance.now();
    for (const pooled of byAge) if (pooled.expiresAt <= now) close(pooled);
    for (const [key, list] of byKey) if (list.length === 0) byKey.delete(key);
    timer = byKey.size > 0 ? setTimeout(sweep, SWEEP_MS).unref() : undefined;
  };
  /** Only while there is something to be swept: an idle process is not woken up for it. */
  let timer: ReturnType<typeof setTimeout> | undefined;

  return {
    remove,
    take(key, now) {
      const pooled = byKey.get(key)?.at(-1);
      if (!pooled) return null;
      remove(pooled);
      if (pooled.expiresAt > now) return pooled;
      pooled.connection.destroy();
      return null;
    },
    put(pooled, keepAliveMs) {
      const { connection, key } = pooled;
      const limit = keepAliveMs === null ? idleMs : Math.min(idleMs, keepAliveMs - KEEP_ALIVE_MARGIN_MS);
      // It may have ended between its answer and now.
      if (!connection.alive) return;
      if (limit <= 0) return connection.destroy();
      pooled.expiresAt = performance.now() + limit;
      byAge.add(pooled);
      timer ??= setTimeout(sweep, SWEEP_MS).unref();
      const list = byKey.get(key);
      if (list) list.push(pooled);
      else byKey.set(key, [pooled]);
      if (byAge.size > maxIdle) closeOldest();
    },
    closeOldest,
    size: () => byAge.size,
    close() {
      clearTimeout(timer);
      for (const pooled of byAge) close(pooled);
    },
  };
}
