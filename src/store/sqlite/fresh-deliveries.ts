import type { Database } from "bun:sqlite";
import { FRESH } from "./schema.ts";
import { LOGGED_THROUGH } from "./webhook-log.ts";

/**
 * Fresh deliveries have been pending since they were made and were never tried. An index of them would be entered
 * and left again by each delivery, and be written to for each webhook of an event; instead, two watermarks in a
 * webhook's row lead to them in the log of all its deliveries (webhook-log.ts), which must be up to date:
 * - `fresh_from`: none of the fresh ones has a smaller id;
 * - `tried_through`: all deliveries with larger ids are fresh.
 * Between the two there are some of both, few, as a webhook's deliveries are tried in order. New ones get ids
 * above all others, and none becomes fresh again, so both watermarks only rise. Whoever makes deliveries other than
 * fresh raises `tried_through` in the same transaction; `fresh_from` is raised only over what was looked at, so that
 * nothing can be overlooked.
 */

/** A webhook's deliveries in the order of their ids (`l.delivery_id`), as SQL. */
export const LOGGED_DELIVERIES = "webhook_log l CROSS JOIN deliveries ON deliveries.id = l.delivery_id";

/** The condition for the fresh deliveries of one webhook, from an id on; both are given as SQL. */
export function freshOf(webhook: string, from = "0"): string {
  // One bound for both, as SQLite would begin at either of two.
  return `l.webhook_id = ${webhook} AND ${FRESH}
    AND l.delivery_id >= max(${from}, (SELECT fresh_from FROM webhooks WHERE id = ${webhook}))`;
}

/** How many fresh deliveries a row of `webhooks` called `w` has, as SQL: only those between the watermarks are looked at. */
export const FRESH_COUNT = `(
  (SELECT count(*) FROM ${LOGGED_DELIVERIES}
   WHERE l.webhook_id = w.id AND l.delivery_id BETWEEN w.fresh_from AND w.tried_through AND ${FRESH})
  + (SELECT count(*) FROM webhook_log l
     WHERE l.webhook_id = w.id AND l.delivery_id > max(w.tried_through, w.fresh_from - 1)))`;

/** How many fresh deliveries each webhook has (`webhook_id`, `n`), as SQL: also those that the log lacks still. */
export const FRESH_BY_WEBHOOK = `SELECT w.id AS webhook_id, ${FRESH_COUNT} AS n FROM webhooks w
  UNION ALL SELECT webhook_id, count(*) FROM deliveries WHERE id > ${LOGGED_THROUGH} AND ${FRESH} GROUP BY webhook_id`;

/** The id of the first fresh delivery of a row of `webhooks` called `w`, as SQL. */
export const FIRST_FRESH = `(SELECT l.delivery_id FROM ${LOGGED_DELIVERIES} WHERE ${freshOf("w.id")}
  ORDER BY l.delivery_id LIMIT 1)`;

/** The largest id that the watermarks know of, as SQL: what is made from now on needs larger ones. */
export const HIGHEST_WATERMARK = "SELECT max(max(fresh_from - 1, tried_through)) AS id FROM webhooks";

/** Raises `fresh_from` of a webhook over what is fresh no longer; part of a transaction. */
export function prepareAdvance(sqlite: Database): (webhookId: number) => void {
  // Never past an id that is still to be given, or that the log lacks: hence the latest that is there.
  const advance = sqlite.prepare<void, [number]>(
    `UPDATE webhooks SET fresh_from = max(fresh_from, coalesce(
       (SELECT l.delivery_id FROM ${LOGGED_DELIVERIES} WHERE l.webhook_id = ?1 AND ${FRESH}
        AND l.delivery_id BETWEEN fresh_from AND tried_through ORDER BY l.delivery_id LIMIT 1),
       (SELECT max(delivery_id) + 1 FROM webhook_log WHERE webhook_id = ?1 AND delivery_id <= tried_through), 0))
     WHERE id = ?1`,
  );
  return (webhookId) => {
    advance.run(webhookId);
  };
}
