import { messageOf } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import { isStoreFault } from "../faults.ts";
import type { Address } from "./address.ts";
import { createPool, type Pool, type PoolOptions, type Work } from "./pool.ts";

/**
 * The connections of one daemon, by what they are for: a long question from the API must not hold up a lease, and
 * events and results go beside each other.
 */
export interface PostgresDatabase {
  /** What the API and the command line ask. */
  main: Pool;
  /** New events. */
  ingest: Pool;
  /** Claims and results. */
  worker: Pool;
  /** Leases, and whether the database is there at all. */
  pulse: Pool;
  /** Null while writing works, otherwise why it does not. */
  fault(): string | null;
  /** Notes what a write came to. */
  failed(error: unknown): void;
  worked(): void;
  /** Does something that writes, and notes what came of it. */
  writing<T>(run: () => Promise<T>): Promise<T>;
  /** Changes in one transaction what daemons keep in memory, and has `changed` tell of it. */
  write<T>(run: Work<T>, changed: () => Promise<void>): Promise<T>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  address: Address;
  log?: Logger | undefined;
  /** Whether it stays open for long. */
  resident: boolean;
}

/** A sign of life is a small question: that it has no answer tells first that the database is away. */
const PULSE_LIMIT_MS = 3_000;

export function createPostgresDatabase({ address, log, resident }: DatabaseOptions): PostgresDatabase {
  let fault: string | null = null;

  const failed = (error: unknown): void => {
    const message = messageOf(error);
    if (fault === null) log?.error("store cannot write", { error: message });
    fault = message;
  };
  const worked = (): void => {
    if (fault !== null) log?.info("store can write again");
    fault = null;
  };

  /** Whoever is cut off on one connection is so on all. */
  const onHung = (): void => {
    failed(new Error("the database does not answer"));
    for (const pool of pools) pool.renew();
  };
  let hasPulseHung = false;
  const pool = (name: string, max: number, more: Partial<PoolOptions> = {}): Pool =>
    createPool({ address, name, max, onHung, ...more });
  const main = pool("main", resident ? 4 : 2);
  const pools = [main];
  const own = (name: string, max: number, more: Partial<PoolOptions> = {}): Pool => {
    if (!resident) return main;
    const made = pool(name, max, more);
    pools.push(made);
    return made;
  };
  // Of arrays the planner knows nothing: as nested loops their joins would take the square of the time.
  const ingest = own("ingest", 1, { settings: { enable_nestloop: "off" } });
  const worker = own("worker", 3);
  const pulsePool = own("pulse", 1, {
    limitMs: PULSE_LIMIT_MS,
    onHung() {
      hasPulseHung = true;
      onHung();
    },
  });
  /**
   * Once it comes through again, whatever the others still wait for was asked into the void: that it has no answer
   * would be taken for another outage, seconds after this one.
   */
  const pulse: Pool = {
    ...pulsePool,
    async query(text, values) {
      const rows = await pulsePool.query(text, values);
      if (hasPulseHung) for (const one of pools) if (one !== pulsePool) one.renew();
      hasPulseHung = false;
      return rows as never;
    },
  };

  const writing = async <T>(run: () => Promise<T>): Promise<T> => {
    try {
      const result = await run();
      worked();
      return result;
    } catch (error) {
      if (isStoreFault(error)) failed(error);
      throw error;
    }
  };

  return {
    main,
    ingest,
    worker,
    pulse,
    fault: () => fault,
    failed,
    worked,
    writing,
    async write(run, changed) {
      const result = await writing(() => main.transaction(run));
      await changed();
      return result;
    },
    async close() {
      await Promise.all(pools.map((one) => one.close()));
    },
  };
}
