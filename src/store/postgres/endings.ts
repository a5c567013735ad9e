import type { Clock } from "../../clock.ts";
import { FAILED } from "../common/delivery-row.ts";
import type { DeliveryQueue, Ending } from "../delivery-queue.ts";
import type { WebhookLabel } from "../webhooks.ts";
import type { PostgresDatabase } from "./database.ts";
import { partitionIn } from "./partitions.ts";
import type { PostgresStatistics } from "./statistics.ts";

/** What webhooks that were given up, or deleted, still have pending, and its end. */
export interface Endings extends Pick<DeliveryQueue, "endPending" | "ending"> {
  /** Of the webhooks of some partitions. */
  within(partitions: readonly number[]): Promise<Ending[]>;
}

/** A long backlog is ended in steps, so that nobody else waits for it. */
const END_STEP = 1_000;

/** A result that is being written is there in milliseconds; who writes it may have been stopped, though. */
const WRITING_MS = 20;
const LONGEST_WRITING_MS = 1_000;

/**
 * What is locked is passed over: its result is being written by somebody who takes locks in another order, and what a
 * result has changed since this statement began cannot be removed by it.
 */
const END = `WITH chosen AS (
    SELECT ctid FROM queue WHERE webhook_id = $1 AND id <= $2 ORDER BY id LIMIT ${END_STEP} FOR UPDATE SKIP LOCKED
  ), gone AS (DELETE FROM queue q USING chosen WHERE q.ctid = chosen.ctid RETURNING q.*)
  INSERT INTO deliveries (webhook_id, id, event_id, status, attempt_count, budget_from, created_at, finished_at,
    last_status, last_error)
  SELECT webhook_id, id, event_id, ${FAILED}, attempt_count, budget_from, created_at, $4, last_status, $3 FROM gone`;

const ANY_LEFT = "SELECT 1 FROM queue WHERE webhook_id = $1 AND id <= $2 LIMIT 1";

/** Also of a deleted one that another daemon has given something a moment too late. */
const ENDINGS = `SELECT id, deleted_at IS NOT NULL AS "isDeleted", end_through::float8 AS "throughId" FROM webhooks
  WHERE (end_through IS NOT NULL OR (deleted_at IS NOT NULL AND EXISTS (SELECT 1 FROM queue q WHERE q.webhook_id = webhooks.id)))`;

interface EndingRow {
  id: number;
  isDeleted: boolean;
  throughId: number | null;
}

function toEnding({ id, isDeleted, throughId }: EndingRow): Ending {
  return {
    webhookId: id,
    reason: isDeleted ? "webhook_deleted" : "webhook_disabled",
    // A deleted webhook keeps nothing.
    throughId: isDeleted ? Number.MAX_SAFE_INTEGER : (throughId ?? 0),
  };
}

export function createEndings(
  database: PostgresDatabase,
  { clock, statistics }: { clock: Clock; statistics: Pick<PostgresStatistics, "countEnded"> },
): Endings {
  const { main } = database;

  return {
    async endPending({ webhookId, reason, throughId }, onEnded) {
      const [label] = await main.query<WebhookLabel>("SELECT uuid, name FROM webhooks WHERE id = $1", [
        webhookId,
      ]);
      for (let pause = WRITING_MS; ; ) {
        const { count } = await database.writing(() =>
          main.query(END, [webhookId, throughId, reason, clock.wall()]),
        );
        statistics.countEnded(webhookId, count, clock.wall());
        if (count > 0) onEnded(label ?? { uuid: "", name: null }, count);
        if (count === END_STEP) continue;
        if ((await main.query(ANY_LEFT, [webhookId, throughId])).count === 0) break;
        pause = count > 0 ? WRITING_MS : Math.min(2 * pause, LONGEST_WRITING_MS);
        await Bun.sleep(pause);
      }
      await main.query("UPDATE webhooks SET end_through = NULL WHERE id = $1 AND end_through <= $2", [
        webhookId,
        throughId,
      ]);
    },
    ending: async (webhookId) => {
      const rows = await main.query<EndingRow>(`${ENDINGS} AND id = $1`, [webhookId]);
      return rows.map(toEnding)[0] ?? null;
    },
    async within(partitions) {
      const rows = await main.query<EndingRow>(`${ENDINGS} AND ${partitionIn("id")} = ANY($1::int[])`, [
        partitions,
      ]);
      return rows.map(toEnding);
    },
  };
}
