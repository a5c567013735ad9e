import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../src/errors.ts";
import { openPostgresStore } from "../../src/store/postgres/store.ts";
import { cleanUp, command, emptyDir, startBinary } from "../support/e2e.ts";
import { type Cluster, freePort, hasPostgres, startCluster } from "../support/postgres.ts";

let cluster: Cluster;

function keyFile(): string {
  const path = join(emptyDir(), "secret.key");
  writeFileSync(path, "a7".repeat(32));
  return path;
}

describe.if(hasPostgres())("a start on a PostgreSQL that is not there", () => {
  beforeAll(async () => {
    cluster = await startCluster();
  }, 30_000);
  afterEach(cleanUp);
  afterAll(() => cluster.remove());

  test("says so and waits for it, and ends at a signal", async () => {
    const database = await cluster.database();
    const url = database.replace("postgres@", "postgres:hunter2@");
    const port = freePort();
    const args = ["--database", url, "--secret-key-file", keyFile(), "--port", String(port)];
    await cluster.stop("fast");
    const pids: number[] = [];
    const start = () => startBinary({ args, onSpawn: (pid) => pids.push(pid) });
    const given = start();
    const stopped = start().catch(messageOf);
    await Bun.sleep(1_500);
    await expect(fetch(`http://127.0.0.1:${port}/health`)).rejects.toThrow();
    process.kill(pids[1] as number, "SIGTERM");
    expect(await stopped).toBe("ended with 0: ");
    await cluster.start();
    const backAt = performance.now();
    const daemon = await given;
    expect(performance.now() - backAt).toBeLessThan(5_000);
    expect((await fetch(`${daemon.url}/health`)).status).toBe(200);
    const lines = daemon.log.filter(({ level }) => level === "warn");
    expect(lines).toMatchObject([
      {
        msg: "the database is away; trying again",
        database: database.replace(/\?.*/, ""),
        error: expect.stringContaining("see whether the server runs there"),
        seconds: 60,
      },
    ]);
    expect(JSON.stringify(daemon.log)).not.toContain("hunter2");
    expect(daemon.log.map(({ msg }) => msg)).toContain("the database is there");
  }, 30_000);

  test("ends with 1 and says what to mend when waiting cannot help, or was in vain", async () => {
    const url = await cluster.database();
    const serve = (database: string) =>
      command(["serve", "--port", "0", "--database", database, "--secret-key-file", keyFile()], {
        cwd: emptyDir(),
      });
    const begun = performance.now();
    const missing = await serve(`${url}_missing`);
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining("does not exist")]);
    const plain = await serve(`${url}?sslmode=verify-full`);
    expect([plain.code, plain.stderr]).toEqual([1, expect.stringContaining("does not support SSL")]);
    expect(performance.now() - begun).toBeLessThan(5_000);
    const open = (address: string) => openPostgresStore({ url: address, resident: true, patienceMs: 1_000 });
    const away = url.replace(/:\d+\//, ":1/");
    const error = await open(away).catch((thrown) => thrown);
    expect([error.exitCode, error.message]).toEqual([1, expect.stringContaining("127.0.0.1:1/")]);
    expect(performance.now() - begun).toBeGreaterThan(1_000);
    await expect(open("postgres://a@nowhere.invalid/x")).rejects.toThrow(
      "the name nowhere.invalid cannot be looked up",
    );
  }, 30_000);
});
