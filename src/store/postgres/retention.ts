import { timeOfId } from "../../ids.ts";
import type { PruneLimits, PruneStep, Retention } from "../retention.ts";
import type { PostgresDatabase } from "./database.ts";
import { DAILY, type Day, dayNamed, namesOfDays } from "./days.ts";
import type { Query } from "./pool.ts";

/** Counting a day, and taking its tables away, may take so long. */
const LIMIT_MS = 60_000;
const ROWS_AT_ONCE = 2_000;
/** A day in which nothing was to go is not looked through again for so long. */
const REST_MS = 3_600_000;

const NOTHING: PruneStep = { deliveries: 0, attempts: 0, events: 0, done: false };

/**
 * Whole days are dropped, the oldest first: a day goes when all that was created in it is old enough and has finished,
 * and nothing that is pending has its event in it. Of a day that something keeps, the rest goes row by row.
 */
export function createRetention(
  database: PostgresDatabase,
  pruneStatistics: (before: number) => Promise<void>,
): Retention {
  const { main } = database;
  /** Monotonic moments at which days were looked through in vain. */
  const resting = new Map<string, number>();

  const isSpent = async ({ name, fromId, toId }: Day, { finishedBefore }: PruneLimits): Promise<boolean> => {
    const [row] = await main.slowQuery<{ isSpent: boolean }>(
      LIMIT_MS,
      `SELECT NOT EXISTS (SELECT 1 FROM queue WHERE id BETWEEN $1 AND $2 - 1 OR event_id BETWEEN $1 AND $2 - 1)
         AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_id BETWEEN $1 AND $2 - 1 AND id >= $2)
         AND NOT EXISTS (SELECT 1 FROM deliveries_${name} WHERE finished_at >= $3) AS "isSpent"`,
      [fromId, toId, finishedBefore],
    );
    return row?.isSpent ?? false;
  };

  const count = async (query: Query, table: string): Promise<number> => {
    const [row] = await query<{ n: number }>(`SELECT count(*)::int4 AS n FROM ${table}`);
    return row?.n ?? 0;
  };

  const drop = (day: Day): Promise<PruneStep> =>
    database.writing(() =>
      main.transaction(async (query) => {
        // Whoever reads the others waits meanwhile, so this waits for nobody for long.
        await query("SET LOCAL lock_timeout = '2s'");
        const deliveries = await count(query, `deliveries_${day.name}`);
        const attempts =
          (await count(query, `attempts_${day.name}`)) +
          (await count(query, `deliveries_${day.name} WHERE last_started_at IS NOT NULL`));
        const events = await count(query, `events_${day.name}`);
        for (const table of DAILY) await query(`DROP TABLE ${table}_${day.name}`);
        return { deliveries, attempts, events, done: false };
      }, LIMIT_MS),
    );

  const thinDeliveries = async (day: Day, finishedBefore: number): Promise<PruneStep> => {
    const [row] = await database.writing(() =>
      main.slowQuery<{ deliveries: number; attempts: number }>(
        LIMIT_MS,
        `WITH gone AS (DELETE FROM deliveries_${day.name} WHERE ctid = ANY(ARRAY(
             SELECT ctid FROM deliveries_${day.name} WHERE finished_at < $1 LIMIT ${ROWS_AT_ONCE}))
             RETURNING id, last_started_at
           ), made AS (DELETE FROM attempts a USING gone WHERE a.delivery_id = gone.id RETURNING 1)
         SELECT count(*)::int4 AS deliveries,
           (count(last_started_at) + (SELECT count(*) FROM made))::int4 AS attempts FROM gone`,
        [finishedBefore],
      ),
    );
    return { ...NOTHING, ...row };
  };

  const thinEvents = async (day: Day): Promise<PruneStep> => {
    const [row] = await database.writing(() =>
      main.slowQuery<{ events: number }>(
        LIMIT_MS,
        `WITH gone AS (DELETE FROM events_${day.name} WHERE id = ANY(ARRAY(
             SELECT e.id FROM events_${day.name} e WHERE NOT EXISTS (SELECT 1 FROM queue q WHERE q.event_id = e.id)
             AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = e.id) LIMIT ${ROWS_AT_ONCE}))
             RETURNING organization_id, external_id
           ), named AS (DELETE FROM external_ids x USING gone
             WHERE x.organization_id = gone.organization_id AND x.external_id = gone.external_id RETURNING 1)
         SELECT count(*)::int4 AS events FROM gone`,
      ),
    );
    return { ...NOTHING, ...row };
  };

  /** The scanners' ids of a stretch of events that are gone; answers whether there may be more. */
  const dropIds = async (fromId: number, toId: number): Promise<boolean> => {
    const { count: dropped } = await database.writing(() =>
      main.slowQuery(
        LIMIT_MS,
        `DELETE FROM external_ids WHERE ctid = ANY(ARRAY(
           SELECT ctid FROM external_ids WHERE event_id >= $1 AND event_id < $2 LIMIT ${ROWS_AT_ONCE}))`,
        [fromId, toId],
      ),
    );
    return dropped === ROWS_AT_ONCE;
  };

  const dropWebhooks = (): Promise<unknown> =>
    database.writing(() =>
      main.slowQuery(
        LIMIT_MS,
        `DELETE FROM webhooks w WHERE w.deleted_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.webhook_id = w.id)
         AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.webhook_id = w.id)`,
      ),
    );

  return {
    async beginRound(limits) {
      const days = (await namesOfDays(main.query))
        .map(dayNamed)
        .filter(({ toId }) => timeOfId(toId) <= limits.createdBefore);
      const gone = days[0] ? [{ fromId: 0, toId: days[0].fromId }] : [];

      const stepOf = async (day: Day): Promise<PruneStep> => {
        if (await isSpent(day, limits)) {
          const step = await drop(day);
          days.shift();
          gone.push(day);
          return step;
        }
        const rested = performance.now() - (resting.get(day.name) ?? Number.NEGATIVE_INFINITY);
        if (rested > REST_MS) {
          const thinned = await thinDeliveries(day, limits.finishedBefore);
          if (thinned.deliveries > 0) return thinned;
          const events = await thinEvents(day);
          if (events.events > 0) return events;
          resting.set(day.name, performance.now());
        }
        days.shift();
        return NOTHING;
      };

      return {
        async step() {
          const [day] = days;
          if (day) return stepOf(day);
          const [stretch] = gone;
          if (stretch) {
            if (!(await dropIds(stretch.fromId, stretch.toId))) gone.shift();
            return NOTHING;
          }
          await pruneStatistics(limits.finishedBefore);
          await dropWebhooks();
          return { ...NOTHING, done: true };
        },
      };
    },
  };
}
