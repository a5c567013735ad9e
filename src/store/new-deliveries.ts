import type { Database } from "bun:sqlite";
import { PENDING } from "./schema.ts";

/** New deliveries one after another: of each its id, webhook, event, schedule time when due, and wall time. */
export type NewDeliveries = number[];

const ROW = `(?, ?, ?, ${PENDING}, ?, ?)`;
const VALUES_IN_ROW = 5;
/** Rows of one statement. Many at once take little more than half the time of one by one; more than these, or sizes between, gain nothing. */
const ROWS_AT_ONCE = [16, 4, 1] as const;

/** Inserts in as few statements as that allows; part of a transaction. */
export function prepareDeliveryInsert(sqlite: Database): (deliveries: NewDeliveries) => void {
  const statements = ROWS_AT_ONCE.map((rows) => ({
    length: rows * VALUES_IN_ROW,
    insert: sqlite.prepare<void, number[]>(
      `INSERT INTO deliveries (id, webhook_id, event_id, status, next_attempt_at, created_at)
       VALUES ${Array(rows).fill(ROW).join(", ")}`,
    ),
  }));
  return (values) => {
    let at = 0;
    for (const { length, insert } of statements) {
      for (; at + length <= values.length; at += length) insert.run(...values.slice(at, at + length));
    }
  };
}
