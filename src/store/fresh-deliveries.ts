import type { Database } from "bun:sqlite";
import { FRESH } from "./schema.ts";

/**
 * Fresh deliveries have been pending since they were made and were never tried. An index of them would be entered
 * and left again by each delivery, and be written to for each webhook of an event; instead, two marks in a
 * webhook's row lead to them in the index of all its deliveries (deliveries_log):
 * - `fresh_from`: none of the fresh ones has a smaller id;
 * - `tried_through`: all deliveries with larger ids are fresh.
 * Between the two there are some of both, few, as a webhook's deliveries are tried in order. New ones get ids
 * above all others, and none becomes fresh again, so both marks only rise. Whoever makes deliveries other than
 * fresh raises `tried_through` in the same transaction; `fresh_from` is raised only over what was looked at, so that
 * nothing can be overlooked.
 */

/** The index that has a webhook's deliveries in the order of their ids. */
export const DELIVERIES_LOG = "deliveries INDEXED BY deliveries_log";

/** The condition for the fresh deliveries of one webhook, from an id on; both are given as SQL. */
export function freshOf(webhook: string, from = "0"): string {
  // One bound for both, as SQLite would begin at either of two.
  return `deliveries.webhook_id = ${webhook} AND ${FRESH}
    AND deliveries.id >= max(${from}, (SELECT fresh_from FROM webhooks WHERE id = ${webhook}))`;
}

/** How many fresh deliveries a row of `webhooks` called `w` has, as SQL: only those between the marks are looked at. */
export const FRESH_COUNT = `(
  (SELECT count(*) FROM ${DELIVERIES_LOG}
   WHERE webhook_id = w.id AND id BETWEEN w.fresh_from AND w.tried_through AND ${FRESH})
  + (SELECT count(*) FROM ${DELIVERIES_LOG} WHERE webhook_id = w.id AND id > max(w.tried_through, w.fresh_from - 1)))`;

/** Raises `fresh_from` of a webhook over what is fresh no longer; part of a transaction. */
export function prepareAdvance(sqlite: Database): (webhookId: number) => void {
  // Never past an id that is still to be given: hence the latest that is there.
  const advance = sqlite.prepare<void, [number]>(
    `UPDATE webhooks SET fresh_from = max(fresh_from, coalesce(
       (SELECT id FROM ${DELIVERIES_LOG} WHERE webhook_id = ?1 AND ${FRESH}
        AND id BETWEEN fresh_from AND tried_through ORDER BY id LIMIT 1),
       (SELECT max(id) + 1 FROM ${DELIVERIES_LOG} WHERE webhook_id = ?1 AND id <= tried_through), 0))
     WHERE id = ?1`,
  );
  return (webhookId) => {
    advance.run(webhookId);
  };
}
