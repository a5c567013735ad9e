import type { DaemonState, Daemons } from "../daemons.ts";
import type { Partitions } from "./partitions.ts";
import { PARTITIONS } from "./partitions.ts";
import type { Pool } from "./pool.ts";

const LIST = `SELECT d.id, d.name, d.version, d.sends,
    (SELECT count(*) FROM partitions p WHERE p.owner = d.id)::int4 AS partitions,
    (extract(epoch FROM clock_timestamp() - d.beat_at) * 1000)::float8 AS "beatAgeMs",
    (extract(epoch FROM d.expires_at - clock_timestamp()) * 1000)::float8 AS "leaseMs"
  FROM daemons d ORDER BY d.name, d.started_at`;

export function createDaemons(pool: Pool, partitions: Pick<Partitions, "count">): Daemons {
  return {
    partitions: PARTITIONS,
    list: async () => [...(await pool.query<DaemonState>(LIST))],
    held: partitions.count,
  };
}
