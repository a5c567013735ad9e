import type { Lease, LeasedJob, Leases } from "../leases.ts";
import type { Membership } from "./members.ts";
import type { Pool } from "./pool.ts";

/** A job is held by a daemon for as long as that is alive (members.ts), or until it is released. */
export function createLeases(pool: Pool, membership: Membership): Leases {
  return {
    async hold(job: LeasedJob): Promise<Lease | null> {
      const owner = membership.id();
      if (owner === null) return null;
      const { count } = await pool.query(
        `UPDATE jobs SET owner = $2 WHERE name = $1
         AND (owner IS NULL OR owner = $2 OR NOT EXISTS (SELECT 1 FROM daemons d WHERE d.id = jobs.owner))`,
        [job, owner],
      );
      if (count === 0) return null;
      let isReleased = false;
      return {
        held: () => !isReleased && membership.id() === owner && membership.isAlive(),
        async release() {
          isReleased = true;
          await pool
            .query("UPDATE jobs SET owner = NULL WHERE name = $1 AND owner = $2", [job, owner])
            // It is free once this daemon is gone.
            .catch(() => {});
        },
      };
    },
  };
}
