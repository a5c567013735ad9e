import { Database } from "bun:sqlite";
import { join } from "node:path";
import type { ClockState } from "../../clock.ts";
import { PENDING } from "../common/delivery-row.ts";
import { DATABASE_FILE } from "./database-file.ts";

/** What is kept in a data directory, read from end to end for another store. Only while no daemon runs on it. */
export interface MoveSource {
  /** One of the small facts, as it is written down. */
  meta(key: "installation_tag"): string | null;
  /** Schedule time minus wall time. */
  clockOffset: number;
  /** Rows of the small tables, whole. */
  all(table: "organizations" | "api_keys" | "webhooks" | "rotated_secrets" | "webhook_minutes"): SourceRow[];
  /** Rows of a large table after an id, in the order of their ids. */
  after(table: LargeTable, id: number, limit: number): SourceRow[];
  count(table: LargeTable | "pending"): number;
  /** The days (whole numbers since 2020) of the ids of events and deliveries. */
  days(): number[];
  close(): void;
}

export type LargeTable = "events" | "deliveries" | "attempts";

export type SourceRow = Record<string, string | number | Uint8Array | null>;

const ID: Record<LargeTable, string> = { events: "id", deliveries: "id", attempts: "delivery_id" };
/** Ids of one day: milliseconds, and 4096 to each. */
const IDS_PER_DAY = 86_400_000 * 4_096;

export function openMoveSource(dataDir: string): MoveSource {
  const sqlite = new Database(join(dataDir, DATABASE_FILE), { readonly: true });
  const metaOf = (key: string): string | null =>
    sqlite.query<{ value: string }, [string]>("SELECT value FROM meta WHERE key = ?").get(key)?.value ?? null;
  const one = (sql: string): number =>
    Number(Object.values(sqlite.query<Record<string, number>, []>(sql).get() ?? { n: 0 })[0]);
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
    days: () => [
      ...new Set(
        Object.values(ID)
          .slice(0, 2)
          .flatMap((_, i) =>
            sqlite
              .query<{ day: number }, []>(
                `SELECT DISTINCT id / ${IDS_PER_DAY} AS day FROM ${i === 0 ? "events" : "deliveries"}`,
              )
              .all()
              .map(({ day }) => day),
          ),
      ),
    ],
    close: () => sqlite.close(),
  };
}
