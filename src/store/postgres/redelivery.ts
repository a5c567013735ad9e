import type { Clock } from "../../clock.ts";
import { idAt } from "../../ids.ts";
import { EVENT_TYPES, type EventType } from "../../scan-words.ts";
import { compileFilter } from "../../webhook-filter.ts";
import { FAILED } from "../common/delivery-row.ts";
import type { DeliveryQueue, RecoverRange } from "../delivery-queue.ts";
import type { PostgresDatabase } from "./database.ts";

export interface RedeliveryParts {
  clock: Clock;
  nextId: () => number;
  makeDays: (ids: readonly number[]) => Promise<void>;
  /** Told of a webhook that has something due again, here or with another daemon. */
  tell: (webhookId: number) => void;
}

/** Events looked at in one step of a recovery. */
const RECOVER_STEP = 2_000;
/** Ids are made on the database's clock, and so are the times of receipt: they differ by a batch at most. */
const CLOCK_MARGIN_MS = 60_000;

/** The next events of a stretch; those that are not of the range have no body, and bodies are read only where they are asked for ($7). */
const RECOVER = `SELECT e.id::float8 AS id,
    CASE WHEN e.organization_id = $3 AND e.type = ANY($4::smallint[]) AND e.received_at BETWEEN $5 AND $6
      THEN CASE WHEN $7::boolean THEN e.body ELSE '' END END AS body
  FROM events e WHERE e.id BETWEEN $1 AND $2 ORDER BY e.id LIMIT ${RECOVER_STEP}`;
/** A step of a recovery may take so long. */
const LIMIT_MS = 60_000;

/** Takes finished deliveries back into the queue; their latest attempts join those before. Conditions on `d` follow. */
const revive = (condition: string, dueAt: string): string => `WITH gone AS (
    DELETE FROM deliveries d WHERE ${condition} RETURNING d.*
  ), kept AS (
    INSERT INTO attempts SELECT id, attempt_count, last_started_at, last_duration_ms, last_status, last_error,
      last_detail, last_excerpt FROM gone WHERE last_started_at IS NOT NULL ON CONFLICT DO NOTHING
  )
  INSERT INTO queue (webhook_id, id, event_id, attempt_count, budget_from, due_at, tried, retries, created_at,
    last_status, last_error, last_detail, last_started_at)
  SELECT webhook_id, id, event_id, attempt_count, attempt_count, ${dueAt}, true, 1, created_at,
    last_status, last_error, last_detail, last_started_at FROM gone`;

/** Sends again by hand: one delivery, or what a webhook has missed in a range. */
export function createRedelivery(
  database: PostgresDatabase,
  { clock, nextId, makeDays, tell }: RedeliveryParts,
): Pick<DeliveryQueue, "retry" | "recover"> {
  const { main } = database;

  const recoverStep = async (
    range: RecoverRange,
    fromId: number,
  ): Promise<{ recovered: number; next: number | null }> => {
    const { webhookId, since, until } = range;
    const [webhook] = await main.query<{ organizationId: number; events: string; filter: string | null }>(
      `SELECT organization_id AS "organizationId", events, filter FROM webhooks WHERE id = $1 AND deleted_at IS NULL`,
      [webhookId],
    );
    // Deleted since the step before: nothing would ever end what it got now.
    if (!webhook) return { recovered: 0, next: null };
    const types = (JSON.parse(webhook.events) as EventType[]).map((type) => EVENT_TYPES.indexOf(type));
    const passes = webhook.filter === null ? null : compileFilter(JSON.parse(webhook.filter));
    const rows = await main.slowQuery<{ id: number; body: string | null }>(LIMIT_MS, RECOVER, [
      fromId,
      idAt(until + CLOCK_MARGIN_MS),
      webhook.organizationId,
      types,
      since,
      until,
      passes !== null,
    ]);
    const wanted = rows.flatMap(({ id, body }) =>
      body !== null && (!passes || passes(JSON.parse(body))) ? [id] : [],
    );
    const last = rows.at(-1)?.id ?? null;
    const recovered = wanted.length === 0 ? 0 : await recoverEvents(webhookId, wanted);
    return { recovered, next: rows.length === RECOVER_STEP && last !== null ? last + 1 : null };
  };

  /** All in one transaction that holds the webhook, so that two recoveries do not send an event twice. */
  const recoverEvents = async (webhookId: number, eventIds: readonly number[]): Promise<number> => {
    const now = clock.schedule();
    const ids = eventIds.map(() => nextId());
    await makeDays([ids[0] as number, ids.at(-1) as number]);
    return database.writing(() =>
      main.transaction(async (query) => {
        await query("SELECT 1 FROM webhooks WHERE id = $1 FOR NO KEY UPDATE", [webhookId]);
        const { count: revived } = await query(
          revive(
            `d.webhook_id = $1 AND d.event_id = ANY($2::bigint[]) AND d.status = ${FAILED}`,
            "$3::bigint",
          ),
          [webhookId, eventIds, now],
        );
        const { count: made } = await query(
          `INSERT INTO queue (webhook_id, id, event_id, due_at, created_at)
           SELECT $1, n.id, n.event_id, $4, $4 FROM unnest($2::bigint[], $3::bigint[]) AS n(event_id, id)
           WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.webhook_id = $1 AND d.event_id = n.event_id)
           AND n.event_id NOT IN (SELECT q.event_id FROM queue q WHERE q.webhook_id = $1)`,
          [webhookId, eventIds, ids, now],
        );
        return revived + made;
      }, LIMIT_MS),
    );
  };

  return {
    async retry(webhookId, deliveryId) {
      const now = clock.schedule();
      await database.writing(() =>
        main.transaction(async (query) => {
          const { count } = await query(
            `UPDATE queue SET due_at = $3, tried = true, retries = retries + 1, budget_from = attempt_count
             WHERE webhook_id = $1 AND id = $2`,
            [webhookId, deliveryId, now],
          );
          if (count === 0)
            await query(revive("d.webhook_id = $1 AND d.id = $2", "$3::bigint"), [
              webhookId,
              deliveryId,
              now,
            ]);
        }),
      );
      tell(webhookId);
    },
    async recover(range) {
      let recovered = 0;
      for (let from: number | null = idAt(range.since - CLOCK_MARGIN_MS); from !== null; ) {
        const step: Awaited<ReturnType<typeof recoverStep>> = await recoverStep(range, from);
        recovered += step.recovered;
        from = step.next;
        if (step.recovered > 0) tell(range.webhookId);
      }
      return recovered;
    },
  };
}
