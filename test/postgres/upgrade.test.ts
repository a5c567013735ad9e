import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { SQL } from "bun";
import { parseAddress } from "../../src/store/postgres/address.ts";
import { createPostgresDatabase } from "../../src/store/postgres/database.ts";
import { MIGRATIONS, migrate } from "../../src/store/postgres/migrations.ts";
import { openTestStore } from "../store/seed.ts";
import { atEnd, cleanUp, command, emptyDir, startBinary } from "../support/e2e.ts";
import { type Cluster, hasPostgres, startCluster } from "../support/postgres.ts";

let cluster: Cluster;

function keyFile(): string {
  const path = join(emptyDir(), "secret.key");
  writeFileSync(path, "a7".repeat(32));
  return path;
}

/** A database as the first version of this program has left it. */
async function makeOld(): Promise<string> {
  const url = await cluster.database();
  const database = createPostgresDatabase({ address: parseAddress(url), resident: false });
  await migrate(database.main, async () => {}, MIGRATIONS.slice(0, 1));
  await database.close();
  return url;
}

const applied = (url: string): number =>
  Number(cluster.run(url, "SELECT count(*) FROM __drizzle_migrations"));
const tablesOf = (url: string): string =>
  cluster.run(
    url,
    "SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = 'public'::regnamespace",
  );

/** A daemon of an older version, as far as the database shows: its lease ends at some time from now. */
function addDaemon(url: string, lease: string): void {
  cluster.run(
    url,
    `INSERT INTO daemons (id, number, name, version, sends, started_at, beat_at, expires_at)
     VALUES (gen_random_uuid(), 1, 'old', '0.0.1', true, now(), now(), now() + interval '${lease}')`,
  );
}

/** Has a transaction of another program do something and stay open; answers how to end it. */
async function hold(url: string, statement: string): Promise<() => Promise<void>> {
  const sql = new SQL({ url, max: 1 });
  atEnd(() => sql.close({ timeout: 0 }));
  await sql.unsafe("BEGIN");
  await sql.unsafe(statement);
  return async () => void (await sql.unsafe("ROLLBACK"));
}

describe.if(hasPostgres())(
  "commands on a PostgreSQL database that is older than they are, empty or strange",
  () => {
    beforeAll(async () => {
      cluster = await startCluster();
    }, 30_000);
    afterEach(cleanUp);
    afterAll(() => cluster.remove());

    test("none of them upgrades it under a running daemon; with none alive they do", async () => {
      const url = await makeOld();
      const key = keyFile();
      addDaemon(url, "1 minute");
      const cwd = emptyDir();
      const id = crypto.randomUUID();
      const commands = [
        ["status"],
        ["org", "list"],
        ["org", "create", "--name", "acme"],
        ["org", "update", id, "--name", "acme"],
        ["key", "create", "--org", id],
        ["key", "list", "--org", id],
        ["key", "revoke", id],
        ["secret-key", "rotate", "--secret-key-file", key],
      ];
      for (const args of commands) {
        const { code, stderr } = await command([...args, "--database", url], { cwd });
        const says = expect.stringContaining(
          "is of an older version than this command; restart it with this version first",
        );
        expect([args, code, stderr]).toEqual([args, 1, says]);
      }
      const dataDir = join(cwd, "data");
      await openTestStore(dataDir).close();
      const moved = await command(["move", "--data-dir", dataDir, "--to", url]);
      expect([moved.code, moved.stderr]).toEqual([1, expect.stringContaining("is of an older version")]);
      expect(applied(url)).toBe(1);
      cluster.run(url, "UPDATE daemons SET expires_at = now() - interval '1 second'");
      expect((await command(["status", "--database", url], { cwd })).code).toBe(0);
      expect(applied(url)).toBe(MIGRATIONS.length);
    }, 40_000);

    test("a daemon upgrades it beside older ones", async () => {
      const url = await makeOld();
      addDaemon(url, "1 minute");
      await startBinary({ args: ["--database", url, "--secret-key-file", keyFile()] });
      expect(applied(url)).toBe(MIGRATIONS.length);
    }, 20_000);

    test("waits for tables that a dump holds, without holding up others", async () => {
      const url = await makeOld();
      const release = await hold(url, "SELECT count(*) FROM webhooks");
      const starting = startBinary({ args: ["--database", url, "--secret-key-file", keyFile()] });
      // Queries that come meanwhile wait for one try at most.
      for (let i = 0; i < 4; i += 1) {
        await Bun.sleep(800);
        expect(cluster.run(url, "SET statement_timeout = '3s'; SELECT count(*) FROM webhooks")).toContain(
          "0",
        );
      }
      expect(applied(url)).toBe(1);
      await release();
      await starting;
      expect(applied(url)).toBe(MIGRATIONS.length);
    }, 40_000);

    test("a command that waits for the table of daemons takes none of them for gone", async () => {
      const url = await cluster.database();
      const key = keyFile();
      const daemon = await startBinary({ args: ["--database", url, "--secret-key-file", key] });
      const rotate = () =>
        command(["secret-key", "rotate", "--database", url, "--secret-key-file", key], { cwd: emptyDir() });
      const statement = "SELECT 1 FROM daemons WHERE false FOR SHARE";
      const release = await hold(url, statement);
      // Longer than a lease.
      const later = setTimeout(release, 9_000);
      const { code, stderr } = await rotate();
      clearTimeout(later);
      await release();
      expect([code, stderr]).toEqual([1, expect.stringContaining("a daemon runs on this database")]);
      expect(await daemon.stop()).toBe(0);
      const releaseAgain = await hold(url, statement);
      const held = await rotate();
      await releaseAgain();
      expect([held.code, held.stderr]).toEqual([
        1,
        expect.stringContaining("another program holds the database's table daemons; try again"),
      ]);
      expect((await rotate()).code).toBe(0);
    }, 40_000);

    test("looking at an empty or strange one is refused, and makes nothing", async () => {
      const [empty, strange] = [await cluster.database(), await cluster.database()];
      cluster.run(strange, "CREATE TABLE theirs (id int)");
      const key = keyFile();
      for (const url of [empty, strange]) {
        for (const args of [["status"], ["secret-key", "rotate", "--secret-key-file", key]]) {
          const { code, stdout, stderr } = await command([...args, "--database", url], { cwd: emptyDir() });
          const says = expect.stringContaining(
            `there is no armorhooks database at ${url}; name the daemons' --database`,
          );
          expect([code, stdout, stderr]).toEqual([1, "", says]);
        }
        expect(tablesOf(url)).toBe(url === empty ? "" : "theirs");
      }
      expect((await command(["org", "create", "--name", "acme", "--database", empty])).code).toBe(0);
      expect((await command(["status", "--database", empty])).code).toBe(0);
    }, 20_000);
  },
);
