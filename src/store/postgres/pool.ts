import { SQL } from "bun";
import { onBeat } from "../../beat.ts";
import { StoreFault } from "../faults.ts";
import type { Address } from "./address.ts";
import { outward } from "./faults.ts";

export type Row = Record<string, unknown>;

/** Runs one statement with a fixed text; rejects with StoreFault when the database cannot do its work. */
export type Query = <T = Row>(text: string, values?: readonly unknown[]) => Promise<T[] & { count: number }>;

/** What is done in one transaction. */
export type Work<T> = (query: Query) => Promise<T>;

/** Some connections to the database for one kind of work. */
export interface Pool {
  query: Query;
  /** The same, for what may take long: so many milliseconds. */
  slowQuery<T = Row>(
    limitMs: number,
    text: string,
    values?: readonly unknown[],
  ): Promise<T[] & { count: number }>;
  /** Runs something in one transaction, which is rolled back when it rejects. */
  transaction<T>(run: Work<T>, limitMs?: number): Promise<T>;
  /** Closes every connection, whatever is under way, and begins anew. */
  renew(): void;
  close(): Promise<void>;
}

export interface PoolOptions {
  address: Address;
  /** What the server's list of sessions shows. */
  name: string;
  max: number;
  /** Settings of its sessions; none of them is needed, as a pooler lets none through. */
  settings?: Record<string, string>;
  /** Milliseconds after which a statement has no answer; left out for what may take as long as most do. */
  limitMs?: number;
  /** A statement had no answer in time, and the connections were closed. */
  onHung: () => void;
}

/** After this a statement has no answer: what is done here takes milliseconds, or has a limit of its own. */
const LIMIT_MS = 4_000;
const CONNECT_SECONDS = 4;
/** For the server, where a statement goes on that nobody waits for any more. */
const STATEMENT_TIMEOUT_MS = 120_000;

interface Pending {
  until: number;
  fail: (error: StoreFault) => void;
}

/**
 * The client has no limit on how long a statement takes, and a server that is cut off without a word keeps it waiting
 * for as long as the kernel tries: so statements are watched, and a client that hangs is closed and made anew.
 */
export function createPool({
  address,
  name,
  max,
  settings = {},
  limitMs: usualMs = LIMIT_MS,
  onHung,
}: PoolOptions): Pool {
  const pending = new Set<Pending>();
  let client = connect();

  function connect(): SQL {
    return new SQL({
      ...address.options,
      max,
      prepare: !address.isPooled,
      connectionTimeout: CONNECT_SECONDS,
      ...(!address.isPooled && {
        connection: {
          application_name: `armorhooks ${name}`,
          statement_timeout: STATEMENT_TIMEOUT_MS,
          synchronous_commit: "on",
          jit: "off",
          ...settings,
        },
      }),
    });
  }

  const renew = (): void => {
    const old = client;
    client = connect();
    // Its own promises are no longer waited for.
    old.close({ timeout: 0 }).catch(() => {});
    for (const { fail } of [...pending]) fail(new StoreFault("the connection to the database was closed"));
  };

  const endWatch = onBeat(() => {
    const now = performance.now();
    let hangs = false;
    for (const { until } of pending) hangs ||= until < now;
    if (!hangs) return;
    renew();
    onHung();
  });

  const limited = <T>(limitMs: number, run: (sql: SQL) => Promise<T>): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      const entry: Pending = { until: performance.now() + limitMs, fail: reject };
      pending.add(entry);
      const done = (): boolean => pending.delete(entry);
      run(client).then(
        (value) => done() && resolve(value),
        (error) => done() && reject(outward(error)),
      );
      entry.fail = (error) => done() && reject(error);
    });

  const slowQuery = <T>(limitMs: number, text: string, values: readonly unknown[] = []) =>
    limited(
      limitMs,
      (sql) => sql.unsafe(text, values as unknown[]) as unknown as Promise<T[] & { count: number }>,
    );

  return {
    query: (text, values) => slowQuery(usualMs, text, values),
    slowQuery,
    transaction: (run, limitMs = usualMs) =>
      limited(
        limitMs,
        (sql) =>
          sql.begin((tx) =>
            run((text, values = []) => tx.unsafe(text, values as unknown[]) as never),
          ) as unknown as Promise<never>,
      ),
    renew,
    async close() {
      endWatch();
      await client.close({ timeout: 1 }).catch(() => {});
    },
  };
}
