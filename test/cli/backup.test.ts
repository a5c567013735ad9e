import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Webhook } from "standardwebhooks";
import { addOrganization, addWebhook, closeWhole, openTestStore, seed } from "../store/seed.ts";
import {
  connectScanner,
  LOOPBACK,
  newDir,
  removeDir,
  runCommand,
  scan,
  startDaemon,
  until,
} from "../support/daemon.ts";
import { startReceiver } from "../support/receiver.ts";

let dir: string;
beforeEach(async () => {
  dir = newDir();
});
afterEach(() => removeDir(dir));

async function newDataDir(name = "data"): Promise<string> {
  const dataDir = join(dir, name);
  const store = openTestStore(dataDir);
  const organizationId = await addOrganization(store);
  const { id: webhookId } = await addWebhook(store, organizationId);
  seed(store, { webhookId, organizationId, count: 10, at: Date.now() - 1000, status: "delivered" });
  await closeWhole(store);
  return dataDir;
}

const backup = (dataDir: string, ...args: string[]) => runCommand(["backup", "--data-dir", dataDir, ...args]);

/** An otherwise empty data directory with a copy as its database. */
function restore(file: string, name = "restored"): string {
  const dataDir = join(dir, name, "data");
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  copyFileSync(file, join(dataDir, "armorhooks.db"));
  return dataDir;
}

describe("armorhooks backup", () => {
  test("writes a whole copy with mode 0600 under its name, and nothing else", async () => {
    const file = join(dir, "copy.db");
    const { code, stdout } = await backup(await newDataDir(), file, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toStrictEqual({ file, bytes: statSync(file).size, carries_key: true });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(dir).sort()).toEqual(["copy.db", "data"]);
  });

  test("refuses to overwrite, and leaves what was there alone", async () => {
    const file = join(dir, "copy.db");
    writeFileSync(file, "precious");
    const { code, stderr } = await backup(await newDataDir(), file);
    expect(code).toBe(1);
    expect(stderr).toContain("exists and is not overwritten");
    expect(readFileSync(file, "utf8")).toBe("precious");
  });

  test("says how a PostgreSQL database is backed up instead, and writes nothing", async () => {
    const url = "postgres://armorhooks:hunter2@db.test/armorhooks";
    const file = join(dir, "copy.db");
    const named = await runCommand(["backup", file, "--database", url], { cwd: dir });
    const inEnvironment = await runCommand(["backup", file], { cwd: dir, env: { ARMORHOOKS_DATABASE: url } });
    for (const { code, stderr } of [named, inEnvironment]) {
      expect([code, stderr]).toEqual([1, expect.stringContaining("pg_dump or your provider's snapshots")]);
      expect(stderr).not.toContain("hunter2");
    }
    expect(readdirSync(dir)).toEqual([]);
  });

  test("refuses what was moved away: a daemon on the copy would send all of it again", async () => {
    const dataDir = await newDataDir();
    writeFileSync(join(dataDir, "moved-to"), "postgres://db.test/hooks\n");
    const { code, stderr } = await backup(dataDir, join(dir, "copy.db"));
    expect([code, stderr]).toEqual([1, expect.stringContaining("was moved to postgres://db.test/hooks")]);
    expect(existsSync(join(dir, "copy.db"))).toBe(false);
  });

  test("names the path that it cannot write, or read", async () => {
    const dataDir = await newDataDir();
    const nowhere = join(dir, "nowhere", "copy.db");
    expect((await backup(dataDir, nowhere)).stderr).toContain(`cannot write ${nowhere}`);
    expect((await backup(join(dir, "nothing"), join(dir, "copy.db"))).stderr).toContain(
      "there is no database",
    );
    writeFileSync(join(dataDir, "armorhooks.db"), "x".repeat(8192));
    const damaged = await backup(dataDir, join(dir, "copy.db"));
    expect(damaged.code).toBe(1);
    expect(damaged.stderr).toContain(`cannot copy ${join(dataDir, "armorhooks.db")}`);
    expect(readdirSync(dir)).toEqual(["data"]);
  });

  test.each(["of another program", "with nothing in it"])("refuses a database %s", async (kind) => {
    const path = join(dir, "data", "armorhooks.db");
    mkdirSync(join(dir, "data"));
    const sqlite = new Database(path);
    if (kind === "of another program") sqlite.exec("CREATE TABLE theirs (id)");
    sqlite.close();
    const { code, stderr } = await backup(join(dir, "data"), join(dir, "copy.db"));
    expect([code, stderr]).toEqual([1, expect.stringContaining(`${path} is not an armorhooks database`)]);
    expect(readdirSync(dir)).toEqual(["data"]);
  });

  test("the copy starts alone, and then no longer carries the key", async () => {
    const dataDir = await newDataDir();
    const key = readFileSync(join(dataDir, "secret.key"), "utf8").trim();
    const file = join(dir, "copy.db");
    await backup(dataDir, file);
    expect(readFileSync(file).includes(key)).toBe(true);
    const restored = restore(file);
    const store = openTestStore(restored);
    expect((await store.webhooks.load(1))?.secret).toMatch(/^[0-9a-f]{64}$/);
    await store.close();
    expect(readFileSync(join(restored, "secret.key"), "utf8").trim()).toBe(key);
    for (const name of readdirSync(restored).filter((name) => name.startsWith("armorhooks.db"))) {
      expect(readFileSync(join(restored, name)).includes(key)).toBe(false);
    }
  });

  test("a copy over a directory that has another key keeps that key under another name", async () => {
    const file = join(dir, "copy.db");
    await backup(await newDataDir("first"), file);
    const dataDir = await newDataDir("second");
    const present = readFileSync(join(dataDir, "secret.key"));
    for (const end of ["", "-wal", "-shm"]) rmSync(join(dataDir, `armorhooks.db${end}`), { force: true });
    copyFileSync(file, join(dataDir, "armorhooks.db"));
    const store = openTestStore(dataDir);
    expect((await store.webhooks.load(1))?.secret).toMatch(/^[0-9a-f]{64}$/);
    await store.close();
    expect(readFileSync(join(dataDir, "secret.key.replaced")).equals(present)).toBe(true);
  });

  test("--without-key leaves the key out, and starting on such a copy asks for it", async () => {
    const dataDir = await newDataDir();
    const file = join(dir, "copy.db");
    expect((await backup(dataDir, file, "--without-key")).stdout).toContain("does not carry the secret key");
    expect(readFileSync(file).includes(readFileSync(join(dataDir, "secret.key"), "utf8").trim())).toBe(false);
    const restored = restore(file);
    expect(() => openTestStore(restored)).toThrow("secret.key is missing");
    copyFileSync(join(dataDir, "secret.key"), join(restored, "secret.key"));
    await openTestStore(restored).close();
  });

  test("a key that the operator keeps is not put into the copy", async () => {
    const dataDir = await newDataDir();
    const keyFile = join(dataDir, "secret.key");
    const file = join(dir, "copy.db");
    const { stdout } = await backup(dataDir, file, "--secret-key-file", keyFile, "--json");
    expect(JSON.parse(stdout).carries_key).toBe(false);
    expect(readFileSync(file).includes(readFileSync(keyFile, "utf8").trim())).toBe(false);
  });

  test("under load the copy is whole; started on, it delivers what was pending, signed with the old secret", async () => {
    const receiver = startReceiver(() => new Response("busy", { status: 500 }));
    mkdirSync(join(dir, "live"));
    const daemon = await startDaemon({
      dir: join(dir, "live"),
      args: [...LOOPBACK, "--retry-min-delay", "200ms"],
    });
    const { secret } = (await daemon.api("POST", "/v1/webhooks", { url: receiver.url })).body.webhook;
    const scanner = await connectScanner(daemon.socket);
    await scanner.send(scan({ id: "before" }));
    let sent = 1;
    let isLoading = true;
    const load = (async () => {
      while (isLoading) {
        await scanner.send(...Array.from({ length: 50 }, (_, i) => scan({ id: `${sent + i}` })));
        sent += 50;
      }
    })();
    await until("there is a load", () => sent > 500);
    const file = join(dir, "copy.db");
    expect(await backup(daemon.dataDir, file)).toMatchObject({ code: 0, stderr: "" });
    const sentByThen = sent;
    await until("the load goes on", () => sent > sentByThen);
    isLoading = false;
    await load;
    scanner.close();
    await daemon.stop("SIGKILL");
    receiver.received.length = 0;
    receiver.answer = () => new Response("ok");

    restore(file);
    const restored = await startDaemon({ dir: join(dir, "restored"), args: LOOPBACK });
    await until("every pending delivery of the copy has come", async () => {
      const metrics = await (await fetch(`${restored.url}/metrics`)).text();
      return metrics.includes("armorhooks_pending_deliveries 0");
    });
    const ids = new Set(receiver.received.map(({ headers }) => headers["webhook-id"]));
    expect(ids.size).toBeGreaterThanOrEqual(500);
    for (const { body, headers } of receiver.received) new Webhook(secret).verify(body, headers);
    expect(existsSync(join(restored.dataDir, "secret.key"))).toBe(true);
    await restored.stop();
    await receiver.stop();
  }, 20_000);
});
