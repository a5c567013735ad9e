import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { CompiledOnce } from "../../../src/store/sqlite/compiled-once.ts";

const RUNS = 500;
/** Takes long to compile, and no time to run. */
const LONG = `SELECT ${Array.from({ length: 200 }, (_, i) => `a + ${i} AS a${i}`).join(", ")}
  FROM t WHERE a = ? ORDER BY b LIMIT ?`;

function open(database: typeof Database): Database {
  const sqlite = new database(":memory:");
  sqlite.exec("CREATE TABLE t (a INTEGER, b TEXT); CREATE INDEX t_a ON t (a, b)");
  return sqlite;
}

/** Milliseconds; of several tries the least, as others share the processor. */
function timeOf(sqlite: Database): number {
  const statement = sqlite.prepare(LONG);
  const tries = Array.from({ length: 5 }, () => {
    const startedAt = performance.now();
    for (let i = 0; i < RUNS; i += 1) statement.all(i, 1 + (i % 2));
    return performance.now() - startedAt;
  });
  return Math.min(...tries);
}

describe("a statement of the store", () => {
  test("is not compiled again for what is bound to it", () => {
    expect(timeOf(open(CompiledOnce)) * 5).toBeLessThan(timeOf(open(Database)));
  });

  test("means the same: question marks in texts and names stay, numbered parameters too", () => {
    const sqlite = open(CompiledOnce);
    sqlite.prepare("INSERT INTO t VALUES (?2, ?1)").run("one ? two", "7");
    const found = sqlite
      .prepare(
        `SELECT b, a = ?1 AS same, typeof(a) AS type, 'it''s ? ' AS text, a AS "what?" FROM t WHERE a = ?1`,
      )
      .all("7");
    expect(found).toEqual([{ b: "one ? two", same: 1, type: "integer", text: "it's ? ", "what?": 7 }]);
  });
});
