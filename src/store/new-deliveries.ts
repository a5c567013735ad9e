import type { Database } from "bun:sqlite";
import { PENDING } from "./schema.ts";

/** New deliveries one after another: of each its id, webhook, event, schedule time when due, and wall time. */
export type NewDeliveries = number[];

const ROW = `(?, ?, ?, ${PENDING}, ?, ?)`;
const VALUES_IN_ROW = 5;
const ROWS_AT_ONCE = 16;

/** Inserts many at once, which takes little more than half the time of one by one; part of a transaction. */
export function prepareDeliveryInsert(sqlite: Database): (deliveries: NewDeliveries) => void {
  const prepare = (rows: number) =>
    sqlite.prepare<void, number[]>(
      `INSERT INTO deliveries (id, webhook_id, event_id, status, next_attempt_at, created_at)
       VALUES ${Array(rows).fill(ROW).join(", ")}`,
    );
  const many = prepare(ROWS_AT_ONCE);
  const one = prepare(1);
  const step = ROWS_AT_ONCE * VALUES_IN_ROW;
  return (values) => {
    let at = 0;
    for (; at + step <= values.length; at += step) many.run(...values.slice(at, at + step));
    for (; at < values.length; at += VALUES_IN_ROW) one.run(...values.slice(at, at + VALUES_IN_ROW));
  };
}
