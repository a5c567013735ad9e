import { Database } from "bun:sqlite";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { now } from "../clock.ts";
import { eventBody } from "../event.ts";
import { offer } from "../program.ts";

/** The limit beside which ingest is measured: the same rows into the same events table, and nothing else. */
const SCHEMA = join(import.meta.dir, "../../../drizzle/0000_init.sql");
const BATCH = 256;

function open(dir: string): Database {
  const sqlite = new Database(join(dir, "limit.db"));
  sqlite.exec("PRAGMA journal_mode = WAL");
  sqlite.exec("PRAGMA synchronous = FULL");
  sqlite.exec(readFileSync(SCHEMA, "utf8"));
  sqlite.exec("INSERT INTO organizations VALUES (1, 'one', 'one', 'enterprise', 0)");
  return sqlite;
}

const methods = {
  /** Rows a second. */
  insert: ({ dir, count }: { dir: string; count: number }): number => {
    const sqlite = open(dir);
    const insert = sqlite.prepare(
      "INSERT INTO events (id, organization_id, external_id, type, body, received_at) VALUES (?, ?, ?, ?, ?, ?)",
    );
    const body = eventBody();
    const first = Date.now() * 1000;
    const batch = sqlite.transaction((from: number, to: number) => {
      for (let i = from; i < to; i += 1) insert.run(first + i, 1, null, 2, body, Date.now());
    });
    const startedAt = now();
    for (let from = 0; from < count; from += BATCH) batch(from, Math.min(count, from + BATCH));
    const rate = (count / (now() - startedAt)) * 1000;
    const stored = sqlite.query<{ n: number }, []>("SELECT count(*) AS n FROM events").get()?.n;
    sqlite.close();
    if (stored !== count) throw new Error(`${stored} rows instead of ${count}`);
    return rate;
  },
};

export type SqliteInsertsMethods = typeof methods;
offer(methods);
