import { eq, sql } from "drizzle-orm";
import { idAt } from "../../ids.ts";
import { EVENT_TYPES, type EventType } from "../../scan-words.ts";
import { compileFilter, type WebhookFilter } from "../../webhook-filter.ts";
import { FAILED, PENDING } from "../common/delivery-row.ts";
import type { StoreDatabase } from "./database.ts";
import type { ReservedIds } from "./id-reservation.ts";
import { prepareValuesInsert } from "./new-deliveries.ts";
import { deliveries } from "./schema.ts";
import type { WebhookLog } from "./webhook-log.ts";

export interface RecoverOptions {
  webhookId: number;
  /** Wall times between which the events were received, both included. */
  range: { since: number; until: number };
  /** The event id to go on from; null at first. */
  fromId: number | null;
  /** Schedule time at which the recovered deliveries are due. */
  dueAt: number;
  /** Wall time. */
  now: number;
}

export interface RecoverStep {
  recovered: number;
  /** Null when all of the range was looked at. */
  nextFromId: number | null;
}

export interface Redelivery {
  /** Makes a delivery pending and due, with a fresh budget of attempts, which an attempt under way is not part of. */
  retry(id: number, dueAt: number, isUnderWay?: boolean): void;
  /**
   * One step of a recovery: the failed deliveries of a stretch of events go back to pending, and events
   * without a delivery get one. Answers how many, and the event id to go on from (null at the end).
   */
  recoverStep(options: RecoverOptions): RecoverStep;
}

/** Events looked at in one step of a recovery: a few milliseconds of work. */
const RECOVER_STEP = 500;

/** Ids are made on the schedule clock: a search by wall time allows for this much between the two. */
const CLOCK_MARGIN_MS = 2 * 86_400_000;

export function createRedelivery(
  { orm, sqlite, transaction }: StoreDatabase,
  ids: ReservedIds,
  webhookLog: WebhookLog,
): Redelivery {
  const step = createRecoverStep({ sqlite, nextId: ids.issue });

  return {
    retry: (id, dueAt, isUnderWay = false) => {
      transaction("durable", () =>
        orm
          .update(deliveries)
          .set({
            status: PENDING,
            budgetFrom: isUnderWay ? sql`${deliveries.attemptCount} + 1` : deliveries.attemptCount,
            nextAttemptAt: dueAt,
            finishedAt: null,
          })
          .where(eq(deliveries.id, id))
          .run(),
      );
    },
    recoverStep: (options) => {
      ids.reserve();
      return transaction("durable", () => {
        const done = step(options);
        webhookLog.grew(done.recovered);
        return done;
      });
    },
  };
}

function createRecoverStep({ sqlite, nextId }: { sqlite: StoreDatabase["sqlite"]; nextId: () => number }) {
  const live = sqlite.prepare<{ organizationId: number; events: string; filter: string | null }, [number]>(
    "SELECT organization_id AS organizationId, events, filter FROM webhooks WHERE id = ? AND deleted_at IS NULL",
  );
  const stretch = sqlite.prepare<{ lastId: number | null; n: number }, [number, number]>(
    `SELECT max(id) AS lastId, count(*) AS n FROM
     (SELECT id FROM events WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ${RECOVER_STEP})`,
  );
  const missing = sqlite.prepare<
    { eventId: number; type: number; deliveryId: number | null; body: string },
    [number, number, number, number, number, number]
  >(
    `SELECT e.id AS eventId, e.type AS type, e.body AS body, d.id AS deliveryId
     FROM events e LEFT JOIN deliveries d ON d.event_id = e.id AND d.webhook_id = ?
     WHERE e.id BETWEEN ? AND ? AND e.organization_id = ? AND e.received_at BETWEEN ? AND ? AND (d.id IS NULL OR d.status = ${FAILED}) ORDER BY e.id`,
  );
  const revive = sqlite.prepare(
    `UPDATE deliveries SET status = ${PENDING}, budget_from = attempt_count, next_attempt_at = ?, finished_at = NULL WHERE id = ?`,
  );
  const insert = prepareValuesInsert(sqlite);

  return ({ webhookId, range, fromId, dueAt, now }: RecoverOptions) => {
    const { since, until } = range;
    // Deleted since the step before: nothing would ever end what it got now.
    const webhook = live.get(webhookId);
    if (webhook === null) return { recovered: 0, nextFromId: null };
    const types: EventType[] = JSON.parse(webhook.events);
    const filter: WebhookFilter | null = webhook.filter === null ? null : JSON.parse(webhook.filter);
    const passes = filter && compileFilter(filter);
    const from = fromId ?? idAt(since - CLOCK_MARGIN_MS);
    const { lastId, n } = stretch.get(from, idAt(until + CLOCK_MARGIN_MS)) ?? { lastId: null, n: 0 };
    if (lastId === null) return { recovered: 0, nextFromId: null };
    const wanted = new Set(types.map((type) => EVENT_TYPES.indexOf(type)));
    const fresh: number[] = [];
    let recovered = 0;
    for (const { eventId, type, body, deliveryId } of missing.all(
      webhookId,
      from,
      lastId,
      webhook.organizationId,
      since,
      until,
    )) {
      if (!wanted.has(type) || (passes && !passes(JSON.parse(body)))) continue;
      if (deliveryId === null) fresh.push(nextId(), webhookId, eventId, dueAt, now);
      else revive.run(dueAt, deliveryId);
      recovered += 1;
    }
    insert(fresh);
    return { recovered, nextFromId: n === RECOVER_STEP ? lastId + 1 : null };
  };
}
