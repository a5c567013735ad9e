import { idAt, timeOfId } from "../../ids.ts";
import { sqlState } from "./faults.ts";
import type { Pool, Query } from "./pool.ts";

/** `events`, `deliveries` and `attempts` lie in a table for each day of their ids, made ahead, so that old days can be dropped whole. */
export const DAILY = ["events", "deliveries", "attempts"] as const;

const DAY_MS = 86_400_000;
const DAYS_AHEAD = 3;
const LOOK_MS = 3_600_000;

export interface Day {
  /** As in the names of its tables: 20261128. */
  name: string;
  /** Its ids: from the first, and up to but not including the second. */
  fromId: number;
  toId: number;
}

export function dayOf(milliseconds: number): Day {
  const start = Math.floor(milliseconds / DAY_MS) * DAY_MS;
  const name = new Date(start).toISOString().slice(0, 10).replaceAll("-", "");
  return { name, fromId: idAt(start), toId: idAt(start + DAY_MS) };
}

/** Makes the tables of some days (any moment within each, milliseconds since 1970) that are not there. */
export async function makeDays(pool: Pool, moments: readonly number[]): Promise<void> {
  const wanted = new Map(moments.map((moment) => [dayOf(moment).name, dayOf(moment)]));
  for (const name of await namesOfDays(pool.query)) wanted.delete(name);
  for (const day of wanted.values()) await makeDay(pool, day);
}

/** Has the tables of the days that will soon be needed made; looks whether they are there once an hour, however often it is called. */
export function createDaysAhead(pool: Pool, now: () => number): () => Promise<void> {
  let madeAt = Number.NEGATIVE_INFINITY;
  return async () => {
    if (now() - madeAt < LOOK_MS) return;
    await makeDays(
      pool,
      Array.from({ length: DAYS_AHEAD + 1 }, (_, i) => now() + i * DAY_MS),
    );
    madeAt = now();
  };
}

/** Days for ids. */
export function momentsOf(ids: readonly number[]): number[] {
  return ids.map(timeOfId);
}

async function makeDay(pool: Pool, { name, fromId, toId }: Day): Promise<void> {
  try {
    await pool.transaction(async (query) => {
      await query("SET LOCAL lock_timeout = '3s'");
      for (const table of DAILY) {
        // Attached, as making it in its place would lock out whoever reads the others.
        await query(`CREATE TABLE ${table}_${name} (LIKE ${table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`);
        await query(
          `ALTER TABLE ${table} ATTACH PARTITION ${table}_${name} FOR VALUES FROM (${fromId}) TO (${toId})`,
        );
      }
    });
  } catch (error) {
    // Another daemon was first.
    if (!ALREADY_THERE.has(sqlState(error) ?? "")) throw error;
  }
}

/** duplicate_table, and unique_violation in the catalog when both make it at once. */
const ALREADY_THERE: ReadonlySet<string> = new Set(["42P07", "23505"]);

/** The days whose tables are there, oldest first. */
export async function namesOfDays(query: Query): Promise<string[]> {
  const rows = await query<{ name: string }>(
    `SELECT right(c.relname, 8) AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = to_regclass('attempts') ORDER BY 1`,
  );
  return rows.map(({ name }) => name);
}

/** The day of such a name. */
export function dayNamed(name: string): Day {
  return dayOf(Date.UTC(Number(name.slice(0, 4)), Number(name.slice(4, 6)) - 1, Number(name.slice(6, 8))));
}
