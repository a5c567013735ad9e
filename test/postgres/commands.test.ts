import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SQL } from "bun";
import { LOOPBACK, type RunningDaemon, until } from "../support/daemon.ts";
import {
  atEnd,
  cleanUp,
  command,
  commandJson,
  emptyDir,
  receive,
  register,
  startBinary,
  verify,
} from "../support/e2e.ts";
import { type Cluster, hasPostgres, makeLatin, startCluster } from "../support/postgres.ts";
import type { Received } from "../support/receiver.ts";

let cluster: Cluster;

function keyFile(digits: string): string {
  const path = join(emptyDir(), "secret.key");
  writeFileSync(path, digits.repeat(32));
  return path;
}

async function startTwo(): Promise<{ url: string; key: string; daemons: [RunningDaemon, RunningDaemon] }> {
  const url = await cluster.database();
  const key = keyFile("a7");
  const args = ["--database", url, "--secret-key-file", key];
  const first = await startBinary({ args });
  const { organizationId } = first;
  const second = await startBinary({ args, key: first.key, organizationId });
  return { url, key, daemons: [first, second] };
}

describe.if(hasPostgres())("the command line and the API on a shared PostgreSQL", () => {
  beforeAll(async () => {
    cluster = await startCluster();
  }, 30_000);
  afterEach(cleanUp);
  afterAll(() => cluster.remove());

  test("what is written through one daemon is seen by the other within a second", async () => {
    const { daemons, url } = await startTwo();
    const [one, two] = daemons;
    const receiver = receive();
    const webhook = await register(one, receiver.url);
    const seen = async () => (await two.api("GET", `/v1/webhooks/${webhook.id}`)).status === 200;
    await until("the other knows it", seen, 1_000);
    const made = await commandJson(two.dir, "key", "create", "--org", one.organizationId, "--database", url);
    const asks = (key: string) =>
      fetch(`${two.url}/v1/webhooks`, { headers: { authorization: `Bearer ${key}` } });
    await until("a new key holds", async () => (await asks(made.raw_key)).status === 200, 1_000);
    await commandJson(two.dir, "key", "revoke", made.key.id, "--database", url);
    await until("a revoked key does not", async () => (await asks(made.raw_key)).status === 401, 1_000);
    expect((await two.api("POST", `/v1/webhooks/${webhook.id}/test`)).body.success).toBe(true);
  }, 30_000);

  test("status and metrics show the daemons and their shares", async () => {
    const { daemons, url } = await startTwo();
    const share = async () => (await commandJson(daemons[0].dir, "status", "--database", url)).daemons;
    await until("shares are fair", async () =>
      (await share()).every((one: { partitions: number }) => one.partitions === 128),
    );
    expect(await share()).toHaveLength(2);
    const elsewhere = emptyDir();
    expect((await commandJson(elsewhere, "status", "--database", url)).daemon_running).toBe(true);
    for (const { last_sign_of_life_ms, lease_ms } of await share()) {
      expect(last_sign_of_life_ms).toBeWithin(0, 5_000);
      expect(lease_ms).toBeWithin(1, 5_001);
    }
    const metrics = await (await fetch(`${daemons[1].url}/metrics`)).text();
    expect(metrics).toContain("armorhooks_daemons 2");
    expect(metrics).toContain("armorhooks_partitions_held 128");
    const { stdout, code } = await command(["status", "--database", url], { cwd: daemons[0].dir });
    expect([code, stdout]).toEqual([0, expect.stringContaining("128 of 256")]);
    expect(stdout).toMatch(/^daemon +running$/m);
    for (const daemon of daemons) await daemon.stop();
    expect((await commandJson(elsewhere, "status", "--database", url)).daemon_running).toBe(false);
  }, 30_000);

  test("commands on the database leave no data directory behind", async () => {
    const url = await cluster.database();
    const key = keyFile("a7");
    const cwd = emptyDir();
    const { organization } = await commandJson(cwd, "org", "create", "--name", "acme", "--database", url);
    const made = await commandJson(cwd, "key", "create", "--org", organization.id, "--database", url);
    for (const args of [
      ["org", "list"],
      ["org", "update", organization.id, "--plan", "pro"],
      ["key", "list", "--org", organization.id],
      ["key", "revoke", made.key.id],
      ["status"],
      ["doctor", "--port", "0", "--secret-key-file", key],
      ["secret-key", "rotate", "--secret-key-file", key],
    ]) {
      const { code, stderr } = await command([...args, "--database", url], { cwd });
      expect([args, code, stderr, readdirSync(cwd)]).toEqual([args, 0, "", []]);
    }
  }, 30_000);

  test("of two rotations at once one is refused, and the key that is left fits", async () => {
    const url = await cluster.database();
    const key = keyFile("a7");
    const before = await startBinary({ args: ["--database", url, "--secret-key-file", key] });
    const webhook = await register(before, receive().url);
    expect(await before.stop()).toBe(0);
    const args = ["secret-key", "rotate", "--database", url, "--secret-key-file", key];
    const sql = new SQL(url, { max: 1 });
    atEnd(() => sql.close({ timeout: 0 }).catch(() => {}));
    const waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'daemons'::regclass AND NOT granted";
    const rotations: ReturnType<typeof command>[] = [];
    await sql.begin(async (tx) => {
      await tx.unsafe("LOCK TABLE daemons IN EXCLUSIVE MODE");
      for (const count of ["1", "2"]) {
        rotations.push(command(args, { cwd: emptyDir() }));
        await until(`${count} wait for their turn`, () => cluster.run(url, waiting) === count, 5_000);
      }
    });
    const [first, second] = await Promise.all(rotations);
    expect([first?.code, first?.stderr]).toEqual([0, ""]);
    expect([second?.code, second?.stderr]).toEqual([
      1,
      expect.stringContaining("was rotated at this moment"),
    ]);
    const after = await startBinary({
      args: [...LOOPBACK, "--database", url, "--secret-key-file", key],
      key: before.key,
    });
    expect((await after.api("POST", `/v1/webhooks/${webhook.id}/test`)).body.success).toBe(true);
  }, 30_000);

  test("a key's rate limit counts in each daemon by itself", async () => {
    const { daemons, url } = await startTwo();
    const [one, two] = daemons;
    const limit = ["--rate-limit", "2", "--database", url];
    const made = await commandJson(one.dir, "key", "create", "--org", one.organizationId, ...limit);
    const ask = async ({ url: at }: RunningDaemon) => {
      const headers = { authorization: `Bearer ${made.raw_key}` };
      return (await fetch(`${at}/v1/webhooks`, { headers })).status;
    };
    for (const daemon of [one, two]) {
      await until("the key is known", async () => (await ask(daemon)) === 200, 1_000);
      const answers = [await ask(daemon), await ask(daemon)];
      expect(answers).toEqual([200, 429]);
    }
  }, 30_000);

  test("doctor tells what weakens an ack, and what is wrong", async () => {
    const { daemons, url, key } = await startTwo();
    const doctor = async (...args: string[]) => {
      const { stdout, code } = await command(["doctor", "--json", "--port", "0", ...args], {
        cwd: emptyDir(),
      });
      const { checks } = JSON.parse(stdout) as {
        checks: { name: string; status: string; message: string }[];
      };
      return { code, of: (name: string) => checks.find((check) => check.name === name) };
    };
    const well = await doctor("--database", url, "--secret-key-file", key);
    expect(well.of("database")?.status).toBe("ok");
    expect(well.of("acks")).toMatchObject({
      status: "warn",
      message: expect.stringContaining("fsync = off"),
    });
    expect(well.of("clock")?.status).toBe("ok");
    expect(well.of("secret key")?.status).toBe("ok");
    expect(well.of("leases")?.message).toContain("2 daemons");
    const wrongKey = await doctor("--database", url, "--secret-key-file", keyFile("b8"));
    expect([wrongKey.code, wrongKey.of("secret key")?.status]).toEqual([1, "fail"]);
    const away = url.replace(/:\d+\//, ":1/");
    const noServer = await doctor("--database", away, "--secret-key-file", key);
    expect([noServer.code, noServer.of("database")?.status]).toEqual([1, "fail"]);
    const strange = await cluster.database();
    cluster.run(strange, "CREATE TABLE theirs (id int)");
    const latin = makeLatin(cluster);
    for (const [unfit, says] of [
      [strange, "tables of another program"],
      [latin, "encoding is LATIN1"],
    ] as const) {
      const found = await doctor("--database", unfit, "--secret-key-file", key);
      expect([found.code, found.of("database")]).toMatchObject([
        1,
        { status: "fail", message: expect.stringContaining(says) },
      ]);
    }
    expect(daemons).toHaveLength(2);
  }, 40_000);

  test("the secret key is rotated while no daemon runs; then the new one is the one that all need", async () => {
    const { daemons, url, key } = await startTwo();
    const [one, two] = daemons;
    const receiver = receive();
    const webhook = await register(one, receiver.url);
    const old = keyFile("a7");
    const rotate = () =>
      command(["secret-key", "rotate", "--database", url, "--secret-key-file", key], { cwd: emptyDir() });
    const tooEarly = await rotate();
    expect([tooEarly.code, tooEarly.stderr]).toEqual([1, expect.stringContaining("stop all of them first")]);
    for (const daemon of [one, two]) expect(await daemon.stop()).toBe(0);
    expect((await rotate()).stdout).toContain("secrets of 1 webhooks");
    const refused = await command(["serve", "--port", "0", "--database", url, "--secret-key-file", old], {
      cwd: emptyDir(),
    });
    expect(refused.code).toBe(1);
    const again = await startBinary({
      args: [...LOOPBACK, "--database", url, "--secret-key-file", key],
      key: one.key,
    });
    expect((await again.api("POST", `/v1/webhooks/${webhook.id}/test`)).body.success).toBe(true);
    verify(webhook, receiver.received.at(-1) as Received);
  }, 40_000);

  test("a start with another secret key, without one, or on a strange database is refused in one line", async () => {
    const { url, key } = await startTwo();
    const serve = (...args: string[]) => command(["serve", "--port", "0", ...args], { cwd: emptyDir() });
    const wrong = await serve("--database", url, "--secret-key-file", keyFile("b8"));
    expect([wrong.code, wrong.stderr]).toEqual([
      1,
      expect.stringContaining("not the one that this database was sealed with"),
    ]);
    const none = await serve("--database", url);
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining("--secret-key-file")]);
    const strange = await cluster.database();
    cluster.run(strange, "CREATE TABLE theirs (id int)");
    const others = await serve("--database", strange, "--secret-key-file", key);
    expect([others.code, others.stderr]).toEqual([1, expect.stringContaining("tables of another program")]);
    const secret = await serve("--database", "mysql://root:hunter2@host/x", "--secret-key-file", key);
    expect([secret.code, secret.stderr]).toEqual([2, expect.not.stringContaining("hunter2")]);
    for (const { stderr } of [wrong, none, others, secret]) expect(stderr.trim().split("\n")).toHaveLength(1);
  }, 40_000);
});
