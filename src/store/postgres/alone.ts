import { Refusal } from "../../errors.ts";
import { sqlState } from "./faults.ts";
import type { Query } from "./pool.ts";

/** Well below a lease: while one waits for the lock, the beats of daemons wait behind it. */
const LOCK_WAIT = "1s";
const LOCK_NOT_AVAILABLE = "55P03";

/**
 * Holds off daemons until the transaction ends: whoever is about to join waits, and is then known. Rejects with
 * `refusal` when one runs, and with Refusal when somebody else holds the table of daemons.
 */
export async function holdOffDaemons(query: Query, refusal: Error): Promise<void> {
  await refuseAlive(query, refusal);
  await query(`SET LOCAL lock_timeout = '${LOCK_WAIT}'`);
  try {
    await query("LOCK TABLE daemons IN EXCLUSIVE MODE");
  } catch (error) {
    if (!isHeld(error)) throw error;
    throw new Refusal("another program holds the database's table daemons", "try again when it has ended");
  }
  await query("SET LOCAL lock_timeout = 0");
  // Of those that have joined, or waited, meanwhile.
  await refuseAlive(query, refusal);
}

/** Whether what was asked has waited for as long as it may for somebody else's lock. */
export function isHeld(error: unknown): boolean {
  return sqlState(error) === LOCK_NOT_AVAILABLE;
}

async function refuseAlive(query: Query, refusal: Error): Promise<void> {
  const [alive] = await query("SELECT 1 FROM daemons WHERE expires_at > clock_timestamp() LIMIT 1");
  if (alive) throw refusal;
}
