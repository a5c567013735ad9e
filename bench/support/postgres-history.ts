import { idAt, timeOfId } from "../../src/ids.ts";
import { DELIVERED, FAILED } from "../../src/store/common/delivery-row.ts";
import { parseAddress } from "../../src/store/postgres/address.ts";
import { dayOf, makeDays } from "../../src/store/postgres/days.ts";
import { createPool } from "../../src/store/postgres/pool.ts";
import type { Cluster } from "../../test/support/postgres.ts";
import { eventBody } from "./event.ts";

const DAY_MS = 86_400_000;
const DAYS = 7;
/** One in so many has failed, after so many attempts. */
const FAILED_EACH = 100;
const ATTEMPTS = 5;

/**
 * Fills a database that has its tables, an organization and webhooks with deliveries that have finished, each of an
 * event of its own with a scanner's id: the same number in each of the last days, today's until now, the webhooks in
 * turn. Then it is as it would be after some days: vacuumed, its statistics known, written to the disk.
 */
export async function fillHistory(cluster: Cluster, url: string, deliveries: number): Promise<void> {
  const now = Date.now();
  const days = Array.from({ length: DAYS }, (_, i) => dayOf(now - i * DAY_MS));
  const pool = createPool({ address: parseAddress(url), name: "bench", max: 1, onHung: () => {} });
  await makeDays(
    pool,
    days.map(({ fromId }) => timeOfId(fromId)),
  );
  await pool.close();
  const each = Math.floor(deliveries / DAYS);
  for (const { fromId, toId } of days) {
    const step = Math.floor((Math.min(toId, idAt(now)) - fromId) / each);
    cluster.run(url, fillDay(fromId, step, each));
  }
  // Neither runs within a transaction, as several statements at once would.
  cluster.run(url, "VACUUM ANALYZE");
  cluster.run(url, "CHECKPOINT");
}

/** So many events and deliveries whose ids are so far apart, as SQL. */
function fillDay(fromId: number, step: number, count: number): string {
  return `SET synchronous_commit = off;
    CREATE TEMP TABLE made AS SELECT (${fromId} + n::bigint * ${step}) AS id, n % ${FAILED_EACH} = 0 AS failed,
        ${timeOfId(0)} + (${fromId} + n::bigint * ${step}) / ${idAt(timeOfId(0) + 1)} AS at,
        hooks[1 + n % cardinality(hooks)] AS webhook_id, md5(n::text || ${fromId}) AS external_id
      FROM generate_series(0, ${count - 1}) n, (SELECT array_agg(id ORDER BY id) AS hooks FROM webhooks) w;
    INSERT INTO events (id, organization_id, external_id, type, body, received_at)
      SELECT id, (SELECT min(id) FROM organizations), external_id, 2, '${eventBody()}', at FROM made;
    INSERT INTO external_ids (organization_id, external_id, event_id)
      SELECT (SELECT min(id) FROM organizations), external_id, id FROM made;
    INSERT INTO deliveries (webhook_id, id, event_id, status, attempt_count, budget_from, created_at, finished_at,
        last_status, last_error, last_started_at, last_duration_ms)
      SELECT webhook_id, id + 64, id, CASE WHEN failed THEN ${FAILED} ELSE ${DELIVERED} END,
        CASE WHEN failed THEN ${ATTEMPTS} ELSE 1 END, 0, at, at + 5, CASE WHEN failed THEN 500 ELSE 200 END,
        CASE WHEN failed THEN 'http_status' END, at + 1, 4 FROM made;
    INSERT INTO attempts (delivery_id, number, started_at, duration_ms, status, error)
      SELECT id + 64, k, at + k, 4, 500, 'http_status' FROM made, generate_series(1, ${ATTEMPTS - 1}) k WHERE failed`;
}
