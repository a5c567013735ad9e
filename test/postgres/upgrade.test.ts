import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseAddress } from "../../src/store/postgres/address.ts";
import { createPostgresDatabase } from "../../src/store/postgres/database.ts";
import { MIGRATIONS, migrate } from "../../src/store/postgres/migrations.ts";
import { openTestStore } from "../store/seed.ts";
import { cleanUp, command, emptyDir, startBinary } from "../support/e2e.ts";
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
