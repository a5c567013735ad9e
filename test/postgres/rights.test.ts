import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanUp, command, emptyDir } from "../support/e2e.ts";
import { type Cluster, hasPostgres, startCluster } from "../support/postgres.ts";

let cluster: Cluster;

interface Check {
  name: string;
  status: string;
  message: string;
  hint?: string;
}

async function doctor(url: string): Promise<Check[]> {
  const { stdout, stderr } = await command(["doctor", "--json", "--port", "0", "--database", url], {
    cwd: emptyDir(),
  });
  expect(stderr).toBe("");
  return JSON.parse(stdout).checks;
}

describe.if(hasPostgres())("a PostgreSQL whose role or address is not what it should be", () => {
  beforeAll(async () => {
    cluster = await startCluster();
  }, 30_000);
  afterEach(cleanUp);
  afterAll(() => cluster.remove());

  test("a role without rights is told so, with the address and what to do, by commands and doctor", async () => {
    const key = join(emptyDir(), "secret.key");
    writeFileSync(key, "a7".repeat(32));
    const [empty, used] = [await cluster.database(), await cluster.database()];
    expect((await command(["org", "create", "--name", "acme", "--database", used])).code).toBe(0);
    cluster.run(empty, "CREATE ROLE barred LOGIN");
    for (const [owned, says] of [
      [empty, "permission denied for schema public"],
      [used, "permission denied for table"],
    ] as const) {
      const url = owned.replace("postgres@", "barred@");
      const hint = `make barred the owner of ${url.split("/").at(-1)}`;
      for (const args of [
        ["org", "list"],
        ["serve", "--port", "0", "--secret-key-file", key],
      ]) {
        const { code, stderr } = await command([...args, "--database", url], { cwd: emptyDir() });
        expect([args, code]).toEqual([args, 1]);
        expect(stderr).toContain(`cannot use the database ${url}: ${says}`);
        expect(stderr).toContain(hint);
        expect(stderr.trim().split("\n")).toHaveLength(1);
      }
      const found = (await doctor(url)).find(({ name }) => name === "database");
      expect(found).toMatchObject({
        status: "fail",
        message: expect.stringContaining(url),
        hint: expect.stringContaining("the owner of"),
      });
    }
  }, 30_000);

  test("a role that loses a right is told which database that was", async () => {
    const owned = await cluster.database();
    expect((await command(["org", "create", "--name", "acme", "--database", owned])).code).toBe(0);
    cluster.run(owned, "CREATE ROLE reader LOGIN");
    cluster.run(
      owned,
      "GRANT ALL ON ALL TABLES IN SCHEMA public TO reader; REVOKE ALL ON organizations FROM reader",
    );
    const url = owned.replace("postgres@", "reader@");
    const { code, stderr } = await command(["org", "list", "--database", url]);
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining(`cannot use the database ${url}: permission denied for table organizations`),
    ]);
  }, 20_000);
});

test("a lone % in the address is refused with what to write, and doctor makes its other checks", async () => {
  const url = "postgres://sup:s3cr%t@127.0.0.1:1/a";
  const list = await command(["org", "list", "--database", url], { cwd: emptyDir() });
  expect([list.code, list.stderr]).toEqual([2, expect.stringContaining("percent-encode % as %25")]);
  expect(list.stderr).not.toContain("s3cr");
  const checks = await doctor(url);
  expect(checks.length).toBeGreaterThan(5);
  expect(checks.find(({ name }) => name === "config")).toMatchObject({
    status: "fail",
    message: expect.stringContaining("percent-encode % as %25"),
  });
});
