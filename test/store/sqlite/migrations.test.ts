import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openDatabase } from "../../../src/store/sqlite/database.ts";
import { MIGRATIONS, migrate } from "../../../src/store/sqlite/migrations.ts";
import { newDir, removeDir } from "../../support/daemon.ts";

/** The shape of a database, comparable whatever way led to it. */
function shapeOf(sqlite: Database): unknown[] {
  return sqlite.query("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").all();
}

function applied(sqlite: Database): number {
  return sqlite.query<{ n: number }, []>("SELECT count(*) AS n FROM __drizzle_migrations").get()?.n ?? 0;
}

describe("migrate", () => {
  test("an empty database gets every migration, each noted once", () => {
    const sqlite = new Database(":memory:");
    migrate(sqlite);
    expect(applied(sqlite)).toBe(MIGRATIONS.length);
  });

  test("again is a no-op", () => {
    const sqlite = new Database(":memory:");
    migrate(sqlite);
    const shape = shapeOf(sqlite);
    sqlite.exec("INSERT INTO organizations (uuid, name, plan, created_at) VALUES ('o', 'acme', 'pro', 1)");
    const before = sqlite.query<{ n: number }, []>("SELECT total_changes() AS n").get();
    migrate(sqlite);
    expect(sqlite.query<{ n: number }, []>("SELECT total_changes() AS n").get()).toEqual(before);
    expect(shapeOf(sqlite)).toEqual(shape);
    expect(sqlite.query("SELECT name FROM organizations").all()).toEqual([{ name: "acme" }]);
  });

  test("a database of the first version is brought up to date with its rows", () => {
    const old = new Database(":memory:");
    migrate(old, MIGRATIONS.slice(0, 1));
    old.exec("INSERT INTO organizations (uuid, name, plan, created_at) VALUES ('o', 'acme', 'pro', 1)");
    old.exec(
      "INSERT INTO webhooks (uuid, organization_id, url, events, secret, created_at) VALUES ('w', 1, 'https://a.example/', '[\"red_tier\"]', x'00', 1)",
    );
    old.exec("INSERT INTO events (id, organization_id, type, body, received_at) VALUES (10, 1, 2, '{}', 1)");
    old.exec("INSERT INTO deliveries (id, webhook_id, event_id, created_at) VALUES (11, 1, 10, 1)");
    migrate(old);
    const fresh = new Database(":memory:");
    migrate(fresh);
    expect(shapeOf(old)).toEqual(shapeOf(fresh));
    expect(old.query("SELECT id, status FROM deliveries").all()).toEqual([{ id: 11, status: 0 }]);
    expect(old.query("SELECT * FROM webhook_log").all()).toEqual([{ webhook_id: 1, delivery_id: 11 }]);
    expect(old.query("PRAGMA foreign_key_check").all()).toEqual([]);
    for (const status of [-1, 3]) {
      expect(() => old.exec(`UPDATE deliveries SET status = ${status}`)).toThrow("deliveries_status");
    }
  });

  test("a secret that was rotated is kept with those that will be", () => {
    const old = new Database(":memory:");
    migrate(old, MIGRATIONS.slice(0, 7));
    old.exec("INSERT INTO organizations (uuid, name, plan, created_at) VALUES ('o', 'acme', 'pro', 1)");
    const insert = old.prepare(
      "INSERT INTO webhooks (uuid, organization_id, url, events, secret, previous_secret, previous_secret_expires_at, created_at) VALUES (?, 1, 'https://a.example/', '[]', x'00', ?, ?, 1)",
    );
    insert.run("rotated", Buffer.from([1, 2, 3]), 99);
    insert.run("never", null, null);
    migrate(old);
    expect(
      old.query("SELECT webhook_id, hex(secret) AS secret, expires_at FROM rotated_secrets").all(),
    ).toEqual([{ webhook_id: 1, secret: "010203", expires_at: 99 }]);
  });

  test("what a receiver has asked for with a 429 still holds", () => {
    const old = new Database(":memory:");
    migrate(old, MIGRATIONS.slice(0, 9));
    old.exec("INSERT INTO organizations (uuid, name, plan, created_at) VALUES ('o', 'acme', 'pro', 1)");
    const states = { asked: [429, 50, 60], failing: [500, 90], fine: [] };
    let id = 10;
    for (const [i, [uuid, [status, ...dueAt]]] of Object.entries(states).entries()) {
      old.exec(
        `INSERT INTO webhooks (uuid, organization_id, url, events, secret, created_at) VALUES ('${uuid}', 1, 'https://a.example/', '[]', x'00', 1)`,
      );
      for (const due of dueAt) {
        id += 1;
        old.exec(
          `INSERT INTO events (id, organization_id, type, body, received_at) VALUES (${id}, 1, 2, '{}', 1)`,
        );
        old.exec(
          `INSERT INTO deliveries (id, webhook_id, event_id, attempt_count, last_status, next_attempt_at, created_at) VALUES (${id}, ${i + 1}, ${id}, 1, ${status}, ${due}, 1)`,
        );
      }
    }
    migrate(old);
    expect(old.query("SELECT uuid, paused_until AS until FROM webhooks").all()).toEqual([
      { uuid: "asked", until: 60 },
      { uuid: "failing", until: null },
      { uuid: "fine", until: null },
    ]);
  });

  test("the marks of fresh deliveries are set for what is there", () => {
    const old = new Database(":memory:");
    migrate(old, MIGRATIONS.slice(0, 3));
    old.exec("INSERT INTO organizations (uuid, name, plan, created_at) VALUES ('o', 'acme', 'pro', 1)");
    for (const uuid of ["none", "fresh", "delivered", "mixed", "revived"]) {
      old.exec(
        `INSERT INTO webhooks (uuid, organization_id, url, events, secret, created_at) VALUES ('${uuid}', 1, 'https://a.example/', '[]', x'00', 1)`,
      );
    }
    // By webhook: status, attempts and error of its deliveries, with the ids 10, 20, … and its place.
    const DELIVERED = "1, 1, NULL";
    const FRESH = "0, 0, NULL";
    const TRIED = "0, 1, 'timeout'";
    const ENDED = "2, 0, 'webhook_disabled'";
    const REVIVED = "0, 0, 'webhook_disabled'";
    const rows = [
      [],
      [FRESH, FRESH],
      [DELIVERED, ENDED],
      [DELIVERED, FRESH, TRIED, FRESH],
      [REVIVED, FRESH, REVIVED, FRESH],
    ];
    for (const [i, own] of rows.entries()) {
      for (const [j, state] of own.entries()) {
        const id = 10 + j * 10 + i;
        old.exec(
          `INSERT INTO events (id, organization_id, type, body, received_at) VALUES (${id}, 1, 2, '{}', 1)`,
        );
        old.exec(
          `INSERT INTO deliveries (id, webhook_id, event_id, status, attempt_count, last_error, created_at) VALUES (${id}, ${i + 1}, ${id}, ${state}, 1)`,
        );
      }
    }
    migrate(old);
    expect(
      old.query("SELECT uuid, fresh_from AS freshFrom, tried_through AS triedThrough FROM webhooks").all(),
    ).toEqual([
      { uuid: "none", freshFrom: 1, triedThrough: 0 },
      { uuid: "fresh", freshFrom: 11, triedThrough: 0 },
      { uuid: "delivered", freshFrom: 23, triedThrough: 22 },
      { uuid: "mixed", freshFrom: 23, triedThrough: 33 },
      // Lower than it must be, as the old index had the revived ones too.
      { uuid: "revived", freshFrom: 14, triedThrough: 34 },
    ]);
  });

  test("a migration that fails leaves nothing of itself behind, and the ones before it in place", () => {
    const sqlite = new Database(":memory:");
    const later = Number.MAX_SAFE_INTEGER;
    const broken = {
      tag: "broken",
      when: later,
      sql: "CREATE TABLE half (a);--> statement-breakpoint\nNONSENSE",
    };
    expect(() => migrate(sqlite, [...MIGRATIONS, broken])).toThrow("NONSENSE");
    expect(sqlite.inTransaction).toBe(false);
    expect(sqlite.query("SELECT 1 FROM sqlite_schema WHERE name = 'half'").get()).toBeNull();
    expect(applied(sqlite)).toBe(MIGRATIONS.length);
    const mended = { ...broken, sql: "CREATE TABLE half (a)" };
    migrate(sqlite, [...MIGRATIONS, mended]);
    expect(sqlite.query("SELECT 1 AS one FROM sqlite_schema WHERE name = 'half'").get()).toEqual({ one: 1 });
  });

  test("a database of a newer version is refused", () => {
    const sqlite = new Database(":memory:");
    migrate(sqlite, [...MIGRATIONS, { tag: "next", when: Number.MAX_SAFE_INTEGER, sql: "SELECT 1" }]);
    expect(() => migrate(sqlite)).toThrow("written by a newer version");
  });
});

describe("openDatabase", () => {
  let dir: string;
  let dataDir: string;
  let path: string;
  beforeEach(() => {
    dir = newDir();
    dataDir = join(dir, "data");
    path = join(dataDir, "armorhooks.db");
  });
  afterEach(() => removeDir(dir));

  test("makes directory and files that only their owner can read", () => {
    const database = openDatabase({ dataDir });
    database.transaction("durable", () => database.sqlite.exec("INSERT INTO meta VALUES ('a', 'b')"));
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect(readdirSync(dataDir).length).toBeGreaterThan(1);
    for (const name of readdirSync(dataDir)) expect(statSync(join(dataDir, name)).mode & 0o777).toBe(0o600);
    database.close();
  });

  test("opens with the log, the checks and the space reclaiming that it relies on", () => {
    const { sqlite, close } = openDatabase({ dataDir });
    const pragma = (name: string) => Object.values(sqlite.query(`PRAGMA ${name}`).get() as object)[0];
    expect(["journal_mode", "synchronous", "foreign_keys", "auto_vacuum"].map(pragma)).toEqual([
      "wal",
      2,
      1,
      2,
    ]);
    close();
  });

  test.each([
    ["no database at all", () => Buffer.from("this is a text file, not a database")],
    ["a database of another program", () => otherDatabase()],
  ])("%s is refused and not changed", (_, contents) => {
    openDatabase({ dataDir }).close();
    // Removed, not emptied: what SQLite has mapped of them must not shrink.
    for (const name of readdirSync(dataDir)) rmSync(join(dataDir, name));
    writeFileSync(path, contents());
    expect(() => openDatabase({ dataDir })).toThrow("it was not changed");
    expect(readFileSync(path).equals(contents())).toBe(true);
  });

  function otherDatabase(): Buffer {
    const other = new Database(":memory:");
    other.exec("CREATE TABLE notes (id INTEGER PRIMARY KEY, text)");
    return other.serialize();
  }

  test("a transaction that throws leaves nothing behind, and is no fault of the store", () => {
    const database = openDatabase({ dataDir });
    expect(() =>
      database.transaction("durable", () => {
        database.sqlite.exec("INSERT INTO meta VALUES ('a', 'b')");
        throw new Error("no");
      }),
    ).toThrow("no");
    expect(database.sqlite.query("SELECT * FROM meta").all()).toEqual([]);
    expect(database.fault()).toBeNull();
    database.close();
  });

  test("a store that cannot write says so until it can again", () => {
    const database = openDatabase({ dataDir });
    database.sqlite.exec("PRAGMA max_page_count = 1");
    const fill = () =>
      database.transaction("durable", () =>
        database.sqlite.query("INSERT OR REPLACE INTO meta VALUES ('a', ?)").run("x".repeat(1_000_000)),
      );
    expect(fill).toThrow("full");
    expect(database.fault()).toContain("full");
    database.sqlite.exec("PRAGMA max_page_count = 100000");
    fill();
    expect(database.fault()).toBeNull();
    database.close();
  });

  test("a directory that cannot be used is said", () => {
    writeFileSync(join(dir, "file"), "");
    expect(() => openDatabase({ dataDir: join(dir, "file") })).toThrow(/cannot use data directory .*file/);
  });
});
