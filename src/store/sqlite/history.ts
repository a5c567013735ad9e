import { and, desc, eq, getTableColumns, inArray, type SQL } from "drizzle-orm";
import type { DeliveryStatus } from "../../outcomes.ts";
import { DELIVERED, FAILED, toDelivery } from "../common/delivery-row.ts";
import type { Attempt, Delivery, History, ListOptions } from "../history.ts";
import type { StoreDatabase } from "./database.ts";
import { promised } from "./faults.ts";
import { freshOf, LOGGED_DELIVERIES } from "./fresh-deliveries.ts";
import { deliveries, events, TRIED, webhooks } from "./schema.ts";
import type { WebhookLog } from "./webhook-log.ts";

/** Delivered ones have no index of their own, as each would pay for it: a page of them looks at so many of all. */
const LOOKED_AT = 10_000;

/** What the outside sees of a delivery, and what it is made of. */
const {
  id,
  webhookId,
  eventId,
  status,
  attemptCount,
  nextAttemptAt,
  lastStatus,
  lastError,
  createdAt,
  finishedAt,
} = getTableColumns(deliveries);
const DELIVERY_COLUMNS = {
  id,
  webhookId,
  webhookUuid: webhooks.uuid,
  eventId,
  eventType: events.type,
  status,
  attemptCount,
  nextAttemptAt,
  lastStatus,
  lastError,
  createdAt,
  finishedAt,
};

/** The deliveries of an event, in the order of the webhooks that they go to. */
export type DeliveriesOf = (eventId: number) => Delivery[];

export function createHistory(
  { orm, sqlite }: StoreDatabase,
  webhookLog: WebhookLog,
): History & { deliveriesOf: DeliveriesOf } {
  const select = (where: SQL | undefined) =>
    orm
      .select(DELIVERY_COLUMNS)
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

  const sourcesOf = (status: DeliveryStatus | null) =>
    status === null ? [all] : status === "pending" ? [fresh, tried] : [failed];

  const findIds = ({ webhookId, status, beforeId, limit }: ListOptions) => {
    const before = beforeId ?? Number.MAX_SAFE_INTEGER;
    if (status === "delivered") return findDelivered(webhookId, before, limit);
    const found = sourcesOf(status).flatMap((source) => source.all(webhookId, before, limit + 1));
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

  const attemptsOf = sqlite.prepare<Attempt, [number]>(
    `SELECT number, started_at AS startedAt, duration_ms AS durationMs, status, error, detail,
     response_excerpt AS responseExcerpt
     FROM attempts WHERE delivery_id = ?1
     UNION SELECT attempt_count, last_started_at, last_duration_ms, last_status, last_error, last_detail, last_excerpt
     FROM deliveries WHERE id = ?1 AND last_started_at IS NOT NULL ORDER BY 1`,
  );

  const find = (organizationId: number, id: number): Delivery | null => {
    const row = select(and(eq(deliveries.id, id), eq(webhooks.organizationId, organizationId))).get();
    return row ? toDelivery(row) : null;
  };

  const payloadOf = (eventId: number): string =>
    orm.select({ body: events.body }).from(events).where(eq(events.id, eventId)).get()?.body ?? "null";

  return {
    deliveriesOf: (eventId) =>
      select(eq(deliveries.eventId, eventId)).orderBy(deliveries.webhookId).all().map(toDelivery),
    list: (options) =>
      promised(() => {
        webhookLog.catchUpIfPossible();
        const { ids, nextBeforeId } = findIds(options);
        const rows = select(inArray(deliveries.id, ids)).orderBy(desc(deliveries.id)).all();
        return { deliveries: rows.map(toDelivery), nextBeforeId };
      }),
    get: (organizationId, id) => promised(() => find(organizationId, id)),
    detail: (organizationId, id) =>
      promised(() => {
        const delivery = find(organizationId, id);
        return delivery && { delivery, payload: payloadOf(delivery.eventId), attempts: attemptsOf.all(id) };
      }),
  };
}
