import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openTestStore } from "../store/seed.ts";
import { BINARY, until } from "../support/daemon.ts";
import { atEnd, cleanUp, command, emptyDir } from "../support/e2e.ts";

afterEach(cleanUp);

/** A data directory whose database takes some tenths of a second to be copied. */
async function makeLarge(rows = 60_000): Promise<string> {
  const dataDir = join(emptyDir(), "data");
  const store = openTestStore(dataDir);
  store.database.sqlite.exec(
    `CREATE TABLE filler AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
     SELECT randomblob(4000) AS bytes FROM n`,
  );
  await store.close();
  return dataDir;
}

/** Begins a backup, and sends it a signal while it copies; answers its exit code. */
async function interrupt(dataDir: string, file: string, signal: NodeJS.Signals) {
  const child = Bun.spawn([BINARY, "backup", file, "--data-dir", dataDir], {
    stdout: "pipe",
    stderr: "pipe",
  });
  atEnd(() => child.kill("SIGKILL"));
  const partial = `${file}.${child.pid}.partial`;
  const isCopying = () => existsSync(partial) && statSync(partial).size > 0;
  await until("it copies", isCopying);
  child.kill(signal);
  const begun = performance.now();
  const code = await child.exited;
  return { code, ms: performance.now() - begun, stderr: await new Response(child.stderr).text() };
}

describe("armorhooks backup that does not come to its end", () => {
  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "interrupted by %s leaves nothing",
    async (signal) => {
      const dataDir = await makeLarge();
      const directory = emptyDir();
      const { code, ms, stderr } = await interrupt(dataDir, join(directory, "copy.db"), signal);
      expect([code, stderr]).toEqual([1, expect.stringContaining("interrupted")]);
      expect(ms).toBeLessThan(1_000);
      expect(readdirSync(directory)).toEqual([]);
    },
    20_000,
  );

  test("killed, is cleared away by the next one, which touches nothing else", async () => {
    const dataDir = await makeLarge();
    const directory = emptyDir();
    const file = join(directory, "copy.db");
    const { code } = await interrupt(dataDir, file, "SIGKILL");
    expect(code).not.toBe(0);
    expect(readdirSync(directory).some((name) => name.endsWith(".partial"))).toBe(true);
    const others = [
      `copy.db.${process.pid}.partial`,
      "copy.db.partial",
      "copy.db.x1.partial",
      "other.db.999999999.partial",
      "copy.db.999999999.partial.old",
    ];
    for (const name of others) writeFileSync(join(directory, name), "");
    expect((await command(["backup", file, "--data-dir", dataDir])).code).toBe(0);
    expect(readdirSync(directory).sort()).toEqual([...others, "copy.db"].sort());
  }, 20_000);

  test("for want of room names the file that has none, and leaves nothing", async () => {
    const dataDir = await makeLarge(100);
    const directory = emptyDir();
    const file = join(directory, "copy.db");
    const { code, stderr } = await command(["backup", file, "--data-dir", dataDir], {
      through: ["prlimit", "--fsize=200000"],
    });
    expect([code, stderr]).toEqual([1, expect.stringContaining(`cannot write ${file}: `)]);
    expect(stderr).not.toContain("armorhooks.db");
    expect(readdirSync(directory)).toEqual([]);
  });
});
