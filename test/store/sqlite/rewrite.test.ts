import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { copyFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createRewrite, type LogExtent } from "../../../src/store/sqlite/rewrite.ts";
import { newDir, removeDir } from "../../support/daemon.ts";

const PAGE = 4096;
const FRAME = PAGE + 24;

let dir: string;
let database: Database;

beforeEach(() => {
  dir = newDir();
  database = new Database(join(dir, "live.db"));
  database.exec("PRAGMA journal_mode = WAL; PRAGMA page_size = 4096; PRAGMA wal_autocheckpoint = 0");
  database.exec("CREATE TABLE notes (text TEXT)");
});
afterEach(() => {
  database.close();
  removeDir(dir);
});

function note(text: string, times = 1): void {
  const insert = database.prepare("INSERT INTO notes VALUES (?)");
  database.transaction(() => {
    for (let n = 0; n < times; n += 1) insert.run(text.repeat(500));
  })();
}

/** Has the database take over all that is in the log. */
function checkpoint(): LogExtent {
  const row = database.prepare("PRAGMA wal_checkpoint(PASSIVE)").get() as {
    log: number;
    checkpointed: number;
  };
  const { page_count: pages } = database.prepare("PRAGMA page_count").get() as { page_count: number };
  return { log: row.log, checkpointed: row.checkpointed, pages };
}

const live = (ending = "") => readFileSync(join(dir, `live.db${ending}`));

/** Both files as they are now, where no SQLite holds them open. */
function copied(): string {
  const path = join(dir, "copy.db");
  for (const ending of ["", "-wal"]) copyFileSync(join(dir, `live.db${ending}`), path + ending);
  return path;
}

/** Changes bytes of a file as a disk does that loses what was written. */
function lose(path: string, from: number, bytes: number): void {
  const whole = readFileSync(path);
  whole.fill(0, from, from + bytes);
  writeFileSync(path, whole);
}

describe("a rewrite", () => {
  test("gives the database back every page that it has from the log", () => {
    note("a", 40);
    note("b", 40);
    const extent = checkpoint();
    const path = copied();
    lose(path, 0, live().length);
    createRewrite(path).run(extent);
    expect(readFileSync(path).equals(live())).toBe(true);
    expect(readFileSync(`${path}-wal`).equals(live("-wal"))).toBe(true);
  });

  test("is made as often as it is asked for, each time with what the log has by then", () => {
    note("a");
    let extent = checkpoint();
    const path = copied();
    const rewrite = createRewrite(path);
    lose(path, PAGE, PAGE);
    rewrite.run(extent);
    note("b", 40);
    extent = checkpoint();
    copied();
    lose(path, PAGE, PAGE);
    rewrite.run(extent);
    expect(readFileSync(path).equals(live())).toBe(true);
  });

  test("leaves out what the database has not taken over yet", () => {
    note("a", 40);
    // Who still reads from the log keeps it from beginning anew.
    const reader = new Database(join(dir, "live.db"));
    reader.exec("BEGIN");
    reader.query("SELECT count(*) FROM notes").get();
    const { checkpointed, pages } = checkpoint();
    const before = live();
    note("b", 40);
    const path = copied();
    reader.close();
    const log = (live("-wal").length - 32) / FRAME;
    expect(log).toBeGreaterThan(checkpointed);
    createRewrite(path).run({ log, checkpointed, pages });
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test("does not bring pages back that the database no longer has", () => {
    note("a", 40);
    const extent = checkpoint();
    const path = copied();
    truncateSync(path, 2 * PAGE);
    createRewrite(path).run({ ...extent, pages: 2 });
    expect(readFileSync(path).equals(live().subarray(0, 2 * PAGE))).toBe(true);
  });

  test("believes no log whose checksums do not hold, and writes nothing of it to the database", () => {
    note("a", 40);
    const extent = checkpoint();
    for (const at of [32 + 24 + 100, 32 + 2 * FRAME, 32 + FRAME + 8, 32 + FRAME + 16]) {
      const path = copied();
      lose(path, 0, live().length);
      lose(`${path}-wal`, at, 4);
      const damaged = readFileSync(`${path}-wal`).equals(live("-wal"));
      expect([at, damaged]).toEqual([at, false]);
      expect(() => createRewrite(path).run(extent)).toThrow("does not read as it was written");
      expect(readFileSync(path).every((byte) => byte === 0)).toBe(true);
    }
  });

  test("says that frames are missing", () => {
    note("a", 40);
    const extent = checkpoint();
    const path = copied();
    truncateSync(`${path}-wal`, live("-wal").length - 1);
    expect(() => createRewrite(path).run(extent)).toThrow("shorter than it was");
  });

  test("knows one beginning of the log from the next", () => {
    const { beginning } = createRewrite(join(dir, "live.db"));
    note("a");
    const first = beginning();
    note("b");
    checkpoint();
    expect(beginning()).toBe(first);
    // All of it was taken over, so that the next write begins the log anew.
    note("c");
    expect(beginning()).not.toBe(first);
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    expect(beginning()).toBe("");
  });
});
