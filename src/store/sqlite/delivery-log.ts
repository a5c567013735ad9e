import { and, desc, eq, getTableColumns, inArray, type SQL } from "drizzle-orm";
import { idAt } from "../../ids.ts";
import type { StoreDatabase } from "./database.ts";
import { freshOf, LOGGED_DELIVERIES } from "./fresh-deliveries.ts";
import { prepareValuesInsert } from "./new-deliveries.ts";
import {
  type attempts,
  DELIVERED,
  deliveries,
  EVENT_TYPES,
  type EventType,
  events,
  FAILED,
  PENDING,
  TRIED,
  webhooks,
} from "./schema.ts";
import type { WebhookLog } from "./webhook-log.ts";

export type AttemptRow = Omit<typeof attempts.$inferSelect, "deliveryId">;

/** A delivery as the API shows it. */
export type DeliveryRow = DeliveryColumns & { webhookUuid: string; eventType: number };

/** All but what only keeps room. */
type DeliveryColumns = Omit<typeof deliveries.$inferSelect, "room">;
const { room: _room, ...deliveryColumns } = getTableColumns(deliveries);

export interface ListOptions {
  webhookId: number;
  /** Position in DELIVERY_STATUSES; null for all. */
  status: number | null;
  /** Only deliveries with a smaller id: where the page before ended. */
  beforeId: number;
  limit: number;
}

export interface RecoverOptions {
  webhookId: number;
  organizationId: number;
  types: readonly EventType[];
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

export interface DeliveryPage {
  rows: DeliveryRow[];
  /** The `beforeId` of the next page; null on the last one. */
  nextBeforeId: number | null;
}

export interface DeliveryLog {
  /** Newest first; a page may be short, even empty, before the last one. */
  list(options: ListOptions): DeliveryPage;
  get(organizationId: number, id: number): DeliveryRow | null;
  /** One delivery's attempts, the first first. */
  attempts(id: number): AttemptRow[];
  /** The payload of a delivery's event, as it is sent in the format `json`. */
  payload(eventId: number): string;
  /** Makes a delivery pending and due, with a fresh budget of attempts. */
  retry(id: number, dueAt: number): void;
  /**
   * One step of a recovery: the failed deliveries of a stretch of events go back to pending, and events
   * without a delivery get one. Answers how many, and the event id to go on from (null at the end).
   */
  recoverStep(options: RecoverOptions): RecoverStep;
}

/** Events looked at in one step of a recovery: a few milliseconds of work. */
const RECOVER_STEP = 500;

/** Delivered ones have no index of their own, as each would pay for it: a page of them looks at so many of all. */
const LOOKED_AT = 10_000;

/** Ids are made on the schedule clock: a search by wall time allows for this much between the two. */
const CLOCK_MARGIN_MS = 2 * 86_400_000;

export function createDeliveryLog(
  { orm, sqlite, transaction }: StoreDatabase,
  nextId: () => number,
  webhookLog: WebhookLog,
): DeliveryLog {
  const columns = { delivery: deliveryColumns, webhookUuid: webhooks.uuid, eventType: events.type };
  const select = (where: SQL | undefined) =>
    orm
      .select(columns)
      .from(deliveries)
      .innerJoin(webhooks, eq(webhooks.id, deliveries.webhookId))
      .innerJoin(events, eq(events.id, deliveries.eventId))
      .where(where);

  /** Ids of a webhook's deliveries below one, newest first, off what holds just those. */
  const idsFrom = (source: string, condition: string, id = "id") =>
    sqlite.prepare<{ id: number }, [webhookId: number, beforeId: number, limit: number]>(
      `SELECT ${id} AS id FROM ${source} WHERE ${condition} AND ${id} < ?2 ORDER BY ${id} DESC LIMIT ?3`,
    );
  const all = idsFrom("webhook_log", "webhook_id = ?1", "delivery_id");
  const failed = idsFrom("deliveries INDEXED BY deliveries_failed", `webhook_id = ?1 AND status = ${FAILED}`);
  const fresh = idsFrom(LOGGED_DELIVERIES, freshOf("?1"), "l.delivery_id");
  const tried = idsFrom("deliveries INDEXED BY deliveries_tried", `webhook_id = ?1 AND ${TRIED}`);
  const lookedAt = sqlite.prepare<{ id: number; status: number }, [webhookId: number, beforeId: number]>(
    `SELECT deliveries.id AS id, status FROM ${LOGGED_DELIVERIES} WHERE l.webhook_id = ? AND l.delivery_id < ?
     ORDER BY l.delivery_id DESC LIMIT ${LOOKED_AT}`,
  );

  const sourcesOf = (status: number | null) =>
    status === null ? [all] : status === PENDING ? [fresh, tried] : [failed];

  const findIds = ({ webhookId, status, beforeId, limit }: ListOptions) => {
    if (status === DELIVERED) return findDelivered(webhookId, beforeId, limit);
    const found = sourcesOf(status).flatMap((source) => source.all(webhookId, beforeId, limit + 1));
    const ids = found.map(({ id }) => id).sort((a, b) => b - a);
    return { ids: ids.slice(0, limit), nextBeforeId: ids.length > limit ? (ids[limit - 1] ?? null) : null };
  };

  const findDelivered = (webhookId: number, beforeId: number, limit: number) => {
    const ids: number[] = [];
    let count = 0;
    let last: number | null = null;
    for (const { id, status } of lookedAt.iterate(webhookId, beforeId)) {
      if (status === DELIVERED && ids.length === limit) return { ids, nextBeforeId: last };
      count += 1;
      last = id;
      if (status === DELIVERED) ids.push(id);
    }
    return { ids, nextBeforeId: count === LOOKED_AT ? last : null };
  };

  const attemptsOf = sqlite.prepare<AttemptRow, [number]>(
    `SELECT number, started_at AS startedAt, duration_ms AS durationMs, status, error, response_excerpt AS responseExcerpt
     FROM attempts WHERE delivery_id = ?1
     UNION SELECT attempt_count, last_started_at, last_duration_ms, last_status, last_error, last_excerpt
     FROM deliveries WHERE id = ?1 AND last_started_at IS NOT NULL ORDER BY 1`,
  );

  const step = createRecoverStep({ sqlite, nextId });

  return {
    list: (options) => {
      webhookLog.catchUpIfPossible();
      const { ids, nextBeforeId } = findIds(options);
      const rows = select(inArray(deliveries.id, ids)).orderBy(desc(deliveries.id)).all().map(flatten);
      return { rows, nextBeforeId };
    },
    get: (organizationId, id) => {
      const row = select(and(eq(deliveries.id, id), eq(webhooks.organizationId, organizationId))).get();
      return row ? flatten(row) : null;
    },
    attempts: (id) => attemptsOf.all(id),
    payload: (eventId) =>
      orm.select({ body: events.body }).from(events).where(eq(events.id, eventId)).get()?.body ?? "null",
    retry: (id, dueAt) => {
      transaction("durable", () =>
        orm
          .update(deliveries)
          .set({
            status: PENDING,
            budgetFrom: deliveries.attemptCount,
            nextAttemptAt: dueAt,
            finishedAt: null,
          })
          .where(eq(deliveries.id, id))
          .run(),
      );
    },
    recoverStep: (options) =>
      transaction("durable", () => {
        const done = step(options);
        webhookLog.grew(done.recovered);
        return done;
      }),
  };
}

interface JoinedRow {
  delivery: DeliveryColumns;
  webhookUuid: string;
  eventType: number;
}

function flatten({ delivery, webhookUuid, eventType }: JoinedRow): DeliveryRow {
  return { ...delivery, webhookUuid, eventType };
}

function createRecoverStep({ sqlite, nextId }: { sqlite: StoreDatabase["sqlite"]; nextId: () => number }) {
  const live = sqlite.prepare<{ one: number }, [number]>(
    "SELECT 1 AS one FROM webhooks WHERE id = ? AND deleted_at IS NULL",
  );
  const stretch = sqlite.prepare<{ lastId: number | null; n: number }, [number, number]>(
    `SELECT max(id) AS lastId, count(*) AS n FROM
     (SELECT id FROM events WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ${RECOVER_STEP})`,
  );
  const missing = sqlite.prepare<
    { eventId: number; type: number; deliveryId: number | null; status: number | null },
    [number, number, number, number, number, number]
  >(
    `SELECT e.id AS eventId, e.type AS type, d.id AS deliveryId, d.status AS status
     FROM events e LEFT JOIN deliveries d ON d.event_id = e.id AND d.webhook_id = ?
     WHERE e.id BETWEEN ? AND ? AND e.organization_id = ? AND e.received_at BETWEEN ? AND ? AND (d.id IS NULL OR d.status = ${FAILED}) ORDER BY e.id`,
  );
  const revive = sqlite.prepare(
    `UPDATE deliveries SET status = ${PENDING}, budget_from = attempt_count, next_attempt_at = ?, finished_at = NULL WHERE id = ?`,
  );
  const insert = prepareValuesInsert(sqlite);

  return ({ webhookId, organizationId, types, range, fromId, dueAt, now }: RecoverOptions) => {
    const { since, until } = range;
    // Deleted since the step before: nothing would ever end what it got now.
    if (live.get(webhookId) === null) return { recovered: 0, nextFromId: null };
    const from = fromId ?? idAt(since - CLOCK_MARGIN_MS);
    const { lastId, n } = stretch.get(from, idAt(until + CLOCK_MARGIN_MS)) ?? { lastId: null, n: 0 };
    if (lastId === null) return { recovered: 0, nextFromId: null };
    const wanted = new Set(types.map((type) => EVENT_TYPES.indexOf(type)));
    const fresh: number[] = [];
    let recovered = 0;
    for (const { eventId, type, deliveryId } of missing.all(
      webhookId,
      from,
      lastId,
      organizationId,
      since,
      until,
    )) {
      if (!wanted.has(type)) continue;
      if (deliveryId === null) fresh.push(nextId(), webhookId, eventId, dueAt, now);
      else revive.run(dueAt, deliveryId);
      recovered += 1;
    }
    insert(fresh);
    return { recovered, nextFromId: n === RECOVER_STEP ? lastId + 1 : null };
  };
}
