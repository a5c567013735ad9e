import type { Database } from "bun:sqlite";

/** Whether another program has made what is in a database; an empty one is nobody's. */
export function isForeign(sqlite: Database): boolean {
  const named = (condition: string): boolean =>
    sqlite.query(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND ${condition}`).get() !== null;
  return named("true") && !named("name = '__drizzle_migrations'");
}

/** Whether the first migration was applied. */
export function hasTables(sqlite: Database): boolean {
  return sqlite.query("SELECT 1 FROM sqlite_schema WHERE name = 'webhooks'").get() !== null;
}
