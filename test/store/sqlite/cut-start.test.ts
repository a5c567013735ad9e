import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { readSecretKey, secretKeySource } from "../../../src/secrets/key-file.ts";
import { writeBackup } from "../../../src/store/sqlite/backup.ts";
import { runCommand } from "../../support/daemon.ts";
import { atEnd, cleanUp, emptyDir } from "../../support/e2e.ts";
import { addOrganization, addWebhook, openTestStore } from "../seed.ts";

afterEach(cleanUp);

const fileOf = (dataDir: string) => join(dataDir, "armorhooks.db");

/** Changes a file without a write-ahead log, as the switch to one does, and is killed before the commit. */
function cutShort(path: string): void {
  const script = `
    const { Database } = require("bun:sqlite");
    const sqlite = new Database(${JSON.stringify(path)});
    sqlite.exec("PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; BEGIN; CREATE TABLE half (bytes)");
    for (let n = 0; n < 50; n += 1) sqlite.exec("INSERT INTO half VALUES (randomblob(3000))");
    process.kill(process.pid, "SIGKILL");`;
  Bun.spawnSync([process.execPath, "-e", script]);
  if (!existsSync(`${path}-journal`)) throw new Error("nothing was left to be rolled back");
}

/** A data directory whose next start finds what a start that was cut short has left of a restored database. */
async function cutRestore(): Promise<string> {
  const before = join(emptyDir(), "data");
  const store = openTestStore(before);
  await addWebhook(store, await addOrganization(store));
  await store.close();
  const dataDir = join(emptyDir(), "data");
  mkdirSync(dataDir, { mode: 0o700 });
  const keyFor = () => readSecretKey(secretKeySource(before, null));
  const { signal } = new AbortController();
  await writeBackup({ dataDir: before, file: fileOf(dataDir), keyFor, signal });
  cutShort(fileOf(dataDir));
  return dataDir;
}

const hotEmpty = (): string => {
  const dataDir = join(emptyDir(), "data");
  mkdirSync(dataDir, { mode: 0o700 });
  cutShort(fileOf(dataDir));
  return dataDir;
};

describe("a start that was cut short while it switched the database to its log", () => {
  test("is gone on with by the next one, which finds all that was there", async () => {
    const store = openTestStore(await cutRestore());
    atEnd(() => store.close());
    expect(await store.organizations.list()).toHaveLength(1);
    expect(await store.webhooks.all()).toHaveLength(1);
  });

  test("on a new database too", async () => {
    const store = openTestStore(hotEmpty());
    atEnd(() => store.close());
    expect(await store.organizations.list()).toEqual([]);
    expect(store.database.sqlite.query("SELECT 1 FROM sqlite_schema WHERE name = 'half'").get()).toBeNull();
  });

  test("is no damage to doctor, which changes nothing", async () => {
    const dataDir = await cutRestore();
    const { stdout } = await runCommand(["doctor", "--data-dir", dataDir, "--port", "0"]);
    expect(stdout).toContain("a start was cut short");
    expect(stdout).not.toContain("readonly");
    expect(existsSync(`${fileOf(dataDir)}-journal`)).toBe(true);
  });

  test("can be backed up", async () => {
    const dataDir = await cutRestore();
    const copy = join(dataDir, "../copy.db");
    expect(await runCommand(["backup", "--data-dir", dataDir, copy])).toMatchObject({ code: 0, stderr: "" });
  });
});
