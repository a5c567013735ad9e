import type { Clock } from "../../clock.ts";
import type { Query } from "./pool.ts";

/**
 * The database's clock, read now and then and carried on with the monotonic one: daemons whose own clocks differ
 * agree on what is due. It never goes back: where the database's clock does, it stands still until that has caught up.
 */
export interface DatabaseClock extends Clock {
  /** Takes a reading over: what the database said (milliseconds since 1970), and the monotonic moments around the question. */
  read(databaseTime: number, askedAt: number, answeredAt: number): void;
  /** How far this machine's wall clock is ahead of the database's, milliseconds. */
  offset(): number;
}

/** The database's clock in milliseconds, as SQL. */
export const NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::float8";

/** `skew` is for tests: milliseconds by which the database's clock is ahead of what it says. */
export function createDatabaseClock(skew: () => number = () => 0): DatabaseClock {
  /** The database's time minus the monotonic one. */
  let base = 0;
  /** By how much the reading may be wrong, growing with time as clocks drift. */
  let error = Number.POSITIVE_INFINITY;
  let readAt = 0;
  let last = 0;
  const now = (): number => {
    last = Math.max(last, Math.floor(base + skew() + performance.now()));
    return last;
  };
  return {
    wall: now,
    schedule: now,
    offset: () => Date.now() - (base + performance.now()),
    read(databaseTime, askedAt, answeredAt) {
      const doubt = (answeredAt - askedAt) / 2;
      const reading = databaseTime - (askedAt + answeredAt) / 2;
      const drifted = error + (answeredAt - readAt) * DRIFT;
      // A slow answer says less than a quick one a while ago, unless the clock has been set.
      if (doubt > drifted && Math.abs(reading - base) <= doubt + drifted) return;
      base = reading;
      error = doubt;
      readAt = answeredAt;
    },
  };
}

/** What two clocks may part by, as a share of the time. */
const DRIFT = 0.0005;

/** Asks for the time once. */
export async function readClock(query: Query, clock: DatabaseClock): Promise<void> {
  const askedAt = performance.now();
  const [row] = await query<{ now: number }>(`SELECT ${NOW} AS now`);
  if (row) clock.read(row.now, askedAt, performance.now());
}
