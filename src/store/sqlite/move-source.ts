import { Database } from "bun:sqlite";
import { join } from "node:path";
import type { ClockState } from "../../clock.ts";
import { idAt, timeOfId } from "../../ids.ts";
import { PENDING } from "../common/delivery-row.ts";
import type { MoveSource, SourceRow } from "../move.ts";
import { DATABASE_FILE } from "./database-file.ts";

/** Ids of one day. */
const IDS_PER_DAY = idAt(timeOfId(0) + 86_400_000);

/** Opens a data directory on which no daemon runs. */
export function openMoveSource(dataDir: string): MoveSource {
  const sqlite = new Database(join(dataDir, DATABASE_FILE), { readonly: true });
  const metaOf = (key: string): string | null =>
    sqlite.query<{ value: string }, [string]>("SELECT value FROM meta WHERE key = ?").get(key)?.value ?? null;
  const one = (sql: string): number =>
    Number(Object.values(sqlite.query<Record<string, number>, []>(sql).get() ?? { n: 0 })[0]);
  const daysOf = (table: "events" | "deliveries"): number[] =>
    sqlite
      .query<{ day: number }, []>(`SELECT DISTINCT id / ${IDS_PER_DAY} AS day FROM ${table}`)
      .all()
      .map(({ day }) => timeOfId(day * IDS_PER_DAY));
  const clock = metaOf("clock");
  return {
    meta: metaOf,
    clockOffset: clock === null ? 0 : (JSON.parse(clock) as ClockState).offset,
    all: (table) => sqlite.query<SourceRow, []>(`SELECT * FROM ${table}`).all(),
    after(table, id, limit) {
      if (table !== "attempts") {
        return sqlite
          .query<SourceRow, [number, number]>(`SELECT * FROM ${table} WHERE id > ? ORDER BY id LIMIT ?`)
          .all(id, limit);
      }
      // All attempts of a delivery together, as it is by their deliveries that they are gone through.
      return sqlite
        .query<SourceRow, [number, number]>(
          `SELECT * FROM attempts WHERE delivery_id > ?1 AND delivery_id <= (SELECT max(delivery_id) FROM
           (SELECT DISTINCT delivery_id FROM attempts WHERE delivery_id > ?1 ORDER BY delivery_id LIMIT ?2)) ORDER BY delivery_id`,
        )
        .all(id, limit);
    },
    count: (table) =>
      table === "pending"
        ? one(`SELECT count(*) FROM deliveries WHERE status = ${PENDING}`)
        : one(`SELECT count(*) FROM ${table}`),
    days: () => [...new Set((["events", "deliveries"] as const).flatMap(daysOf))],
    close: () => sqlite.close(),
  };
}
