import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { closeSync, cpSync, existsSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { openDatabase, type StoreDatabase } from "../../../src/store/sqlite/database.ts";
import { createWalSync, type WalSync } from "../../../src/store/sqlite/wal-sync.ts";
import { newDir, removeDir } from "../../support/daemon.ts";

const PAGE = 4_096;
const FRAME = PAGE + 24;

let dir: string;
let dataDir: string;
let path: string;
let database: StoreDatabase;
let failSync: () => Promise<void>;

beforeEach(() => {
  dir = newDir();
  dataDir = join(dir, "data");
  path = join(dataDir, "armorhooks.db");
  let fails = false;
  const syncWal = (log: string): WalSync => ({
    ...createWalSync(log),
    request: (done) => setImmediate(done, fails ? new Error("EIO: i/o error") : null),
  });
  database = openDatabase({ dataDir, syncWal });
  database.transaction("durable", () =>
    database.sqlite.exec("CREATE TABLE data (id INTEGER PRIMARY KEY, bytes BLOB)"),
  );
  failSync = async () => {
    fails = true;
    await new Promise((resolve) => database.whenDurable(resolve));
    fails = false;
  };
});
afterEach(() => {
  database.close();
  removeDir(dir);
});

const add = (rows: number): void =>
  database.transaction("relaxed", () => {
    for (let n = 0; n < rows; n += 1)
      database.sqlite.query("INSERT INTO data (bytes) VALUES (randomblob(3000))").run();
  });

/** Overwrites a part of a file in place, as a disk that never got it would show it. */
function overwrite(file: string, position: number, bytes: Uint8Array): void {
  const descriptor = openSync(file, "r+");
  writeSync(descriptor, bytes, 0, bytes.length, position);
  // Not closed: that would free SQLite's locks on the database in this process.
  if (file.endsWith("-wal")) closeSync(descriptor);
}

/** What another machine finds in the database alone, without its log. */
function rowsWithoutLog(): number {
  const copy = join(dir, "copy", "armorhooks.db");
  cpSync(dataDir, join(dir, "copy"), { recursive: true });
  for (const end of ["-wal", "-shm"]) removeDir(`${copy}${end}`);
  const alone = openDatabase({ dataDir: join(dir, "copy") });
  const { n } = alone.sqlite.query<{ n: number }, []>("SELECT count(*) AS n FROM data").get() as {
    n: number;
  };
  expect(alone.sqlite.query("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
  alone.close();
  removeDir(join(dir, "copy"));
  return n;
}

describe("after a sync that failed", () => {
  test("what the database had taken over is written to it again from the log", async () => {
    add(300);
    database.copyWal();
    const taken = readFileSync(path);
    expect(rowsWithoutLog()).toBe(300);
    // The disk has none of what was copied: the copy of the log before is what it shows after a cut.
    for (let page = 2; page < taken.length / PAGE; page += 1)
      overwrite(path, page * PAGE, new Uint8Array(PAGE));
    await failSync();
    add(1);
    expect(readFileSync(path).equals(taken)).toBe(true);
    expect(rowsWithoutLog()).toBe(300);
    expect(database.fault()).toBeNull();
  });

  test("an older version of a page is never put in the place of a newer one", async () => {
    add(300);
    database.copyWal();
    database.transaction("relaxed", () => database.sqlite.exec("UPDATE data SET bytes = randomblob(3000)"));
    database.copyWal();
    add(50);
    database.copyWal();
    const taken = readFileSync(path);
    await failSync();
    add(1);
    expect(readFileSync(path).equals(taken)).toBe(true);
  });

  test("pages that the database has given back are left alone", async () => {
    add(600);
    database.copyWal();
    database.transaction("relaxed", () => database.sqlite.exec("DELETE FROM data"));
    database.transaction("relaxed", () => database.sqlite.exec("PRAGMA incremental_vacuum(500)"));
    database.copyWal();
    const { length } = readFileSync(path);
    await failSync();
    add(1);
    expect(readFileSync(path).length).toBe(length);
    expect(rowsWithoutLog()).toBe(0);
  });

  test("a log that does not read as it was written is not believed: nothing is stored any more, and that is said", async () => {
    add(100);
    database.copyWal();
    const taken = readFileSync(path);
    const log = readFileSync(`${path}-wal`);
    await failSync();
    overwrite(`${path}-wal`, 32 + 3 * FRAME + 500, crypto.getRandomValues(new Uint8Array(40)));
    expect(() => add(1)).toThrow("the write-ahead log does not read as it was written");
    expect(database.fault()).toContain("the write-ahead log does not read as it was written");
    expect(readFileSync(path).equals(taken)).toBe(true);
    overwrite(`${path}-wal`, 0, log);
    add(1);
    expect(database.fault()).toBeNull();
  });

  test("whoever cannot mend it ends without the close that would copy the rest and delete the log", () => {
    add(100);
    database.copyWal();
    add(10);
    const copy = join(dir, "other");
    cpSync(dataDir, copy, { recursive: true });
    const script = `
      const { openDatabase } = require(${JSON.stringify(join(import.meta.dir, "../../../src/store/sqlite/database.ts"))});
      const { writeSync, openSync, statSync } = require("node:fs");
      const lines = [];
      const log = { error: (msg, fields) => console.log(msg), info() {}, warn() {} };
      const request = (done) => setImmediate(done, new Error("EIO: i/o error"));
      const syncWal = () => ({ request, finish() {}, close() {} });
      const database = openDatabase({ dataDir: ${JSON.stringify(copy)}, log, syncWal });
      database.transaction("relaxed", () => database.sqlite.exec("INSERT INTO data (bytes) VALUES ('last')"));
      await new Promise((resolve) => database.whenDurable(resolve));
      writeSync(openSync(${JSON.stringify(join(copy, "armorhooks.db-wal"))}, "r+"), new Uint8Array(40), 0, 40, 600);
      database.close();
      process.exit(0);`;
    const { exitCode, signalCode, stdout } = Bun.spawnSync([process.execPath, "-e", script]);
    expect(stdout.toString()).toContain(
      "the database is left as it is: the next start copies all of its log again",
    );
    expect([exitCode, signalCode]).toEqual([null, "SIGKILL"] as never);
    expect(existsSync(join(copy, "armorhooks.db-wal"))).toBe(true);
  });
});

test("a daemon does not believe what was copied before it, while another program keeps the log open", () => {
  add(300);
  database.copyWal();
  const taken = readFileSync(path);
  // Within a row, so that only who compares it with the log can tell.
  overwrite(path, taken.length - PAGE / 2, crypto.getRandomValues(new Uint8Array(100)));
  expect(readFileSync(path).equals(taken)).toBe(false);
  const daemon = openDatabase({ dataDir, copying: "beside" });
  daemon.transaction("relaxed", () => {});
  expect(readFileSync(path).equals(taken)).toBe(true);
  daemon.close();
});
