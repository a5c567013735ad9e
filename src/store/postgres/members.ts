import { hostname } from "node:os";
import { VERSION } from "../../version.ts";
import { StoreFault } from "../faults.ts";
import { MOST_DAEMONS } from "./ids.ts";
import type { Pool } from "./pool.ts";

/**
 * How long a daemon counts as alive after its latest sign of life. Others take over what it held within this and one
 * beat more.
 */
export const LEASE_MS = 5_000;
export const LEASE_BEAT_MS = 1_500;
/** Nothing begins after this part of the lease, reckoned from before the question: what has begun must reach its receiver before another daemon may. */
const SAFE_SHARE = 0.8;
const JOIN_TRIES = 10;

/**
 * What came of a sign of life: `alive` as before, or `revived` when it had counted as dead by its own clock for a
 * moment though nobody has taken anything, or `late`: it has to begin anew.
 */
export type Beat = "alive" | "revived" | "late";

/** This daemon among all that share the database. */
export interface Membership {
  /** The present id; null while it counts as dead. */
  id(): string | null;
  /** Whether the lease surely holds, by this machine's monotonic clock alone. */
  isAlive(): boolean;
  /** Gives a sign of life. Rejects with StoreFault. */
  beat(): Promise<Beat>;
  /** Begins anew: with another id, holding nothing. */
  join(): Promise<void>;
  /** From now on it takes its share of the webhooks. */
  send(): Promise<void>;
  /** Removes those whose lease has run out. */
  removeDead(): Promise<number>;
  /** Ends in order. */
  leave(): Promise<void>;
}

/** `onNumber` is told the number for the ids that it makes. */
export function createMembership(pool: Pool, onNumber: (number: number) => void): Membership {
  let id: string | null = null;
  let deadline = Number.NEGATIVE_INFINITY;
  let sends = false;
  const startedAt = new Date();
  const lease = `${LEASE_MS} milliseconds`;

  const removeDead = async (): Promise<number> =>
    // Waits for a sign of life that is being written, and then looks again: what is removed stays dead.
    (await pool.query("DELETE FROM daemons WHERE expires_at < clock_timestamp()")).count;

  const isAlive = (): boolean => performance.now() < deadline;

  const beat = async (): Promise<Beat> => {
    if (id === null) return "late";
    const before = performance.now();
    const { count } = await pool.query(
      `UPDATE daemons SET beat_at = clock_timestamp(), expires_at = clock_timestamp() + $2::interval
       WHERE id = $1 AND expires_at > clock_timestamp()`,
      [id, lease],
    );
    if (count !== 1) {
      id = null;
      deadline = Number.NEGATIVE_INFINITY;
      return "late";
    }
    // Asked only now: its time may have run out while the answer was under way.
    const beatBefore = isAlive() ? "alive" : "revived";
    deadline = before + LEASE_MS * SAFE_SHARE;
    return beatBefore;
  };

  const join = async (): Promise<void> => {
    await removeDead();
    for (let tries = 0; tries < JOIN_TRIES; tries += 1) if (await tryToJoin()) return;
    throw new StoreFault(`no number is free: there can be ${MOST_DAEMONS} daemons`);
  };

  /** False when another daemon took the same number a moment before. */
  const tryToJoin = async (): Promise<boolean> => {
    const next = crypto.randomUUID();
    const before = performance.now();
    const [row] = await pool.query<{ number: number }>(
      `INSERT INTO daemons (id, number, name, version, sends, started_at, beat_at, expires_at)
       SELECT $1, n, $2, $3, $4, $5::timestamptz, clock_timestamp(), clock_timestamp() + $6::interval
       FROM generate_series(0, ${MOST_DAEMONS - 1}) n WHERE NOT EXISTS (SELECT 1 FROM daemons WHERE number = n)
       ORDER BY random() LIMIT 1 ON CONFLICT DO NOTHING RETURNING number`,
      [next, hostname(), VERSION, sends, startedAt.toISOString(), lease],
    );
    if (!row) return false;
    id = next;
    onNumber(row.number);
    deadline = before + LEASE_MS * SAFE_SHARE;
    return true;
  };

  return {
    id: () => id,
    isAlive,
    beat,
    join,
    removeDead,
    async send() {
      sends = true;
      if (id !== null) await pool.query("UPDATE daemons SET sends = true WHERE id = $1", [id]);
    },
    async leave() {
      const last = id;
      id = null;
      deadline = Number.NEGATIVE_INFINITY;
      if (last !== null) await pool.query("DELETE FROM daemons WHERE id = $1", [last]);
    },
  };
}
