import { Database } from "bun:sqlite";
import { afterEach, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { lockDataDir } from "../../src/store/sqlite/lock.ts";
import { MIGRATIONS, migrate } from "../../src/store/sqlite/migrations.ts";
import { runCommand } from "../support/daemon.ts";
import { cleanUp, emptyDir } from "../support/e2e.ts";

afterEach(cleanUp);

const indexes = (path: string): string[] => {
  const sqlite = new Database(path, { readonly: true });
  const rows = sqlite
    .query<{ name: string }, []>("SELECT name FROM sqlite_schema WHERE type = 'index'")
    .all();
  sqlite.close();
  return rows.map(({ name }) => name);
};

test("a command leaves the database of a running older daemon as it is, and says what to do", async () => {
  const dataDir = join(emptyDir(), "data");
  mkdirSync(dataDir);
  const path = join(dataDir, "armorhooks.db");
  const old = new Database(path);
  migrate(old, MIGRATIONS.slice(0, 1));
  old.close();
  const lock = lockDataDir(dataDir);
  const refused = await runCommand(["org", "list", "--data-dir", dataDir]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(
    "is of an older version than this command; restart it with this version first",
  );
  expect(indexes(path)).toContain("deliveries_due");
  lock.release();
  expect((await runCommand(["org", "list", "--data-dir", dataDir])).code).toBe(0);
  expect(indexes(path)).not.toContain("deliveries_due");
});

test("the rotation of the secret key brings the database of a stopped older daemon up to date", async () => {
  const dataDir = join(emptyDir(), "data");
  mkdirSync(dataDir);
  const path = join(dataDir, "armorhooks.db");
  const old = new Database(path);
  migrate(old, MIGRATIONS.slice(0, 1));
  old.close();
  const { code, stderr } = await runCommand(["secret-key", "rotate", "--data-dir", dataDir]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(indexes(path)).not.toContain("deliveries_due");
});
