import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkClock } from "../../src/cli/checks.ts";
import type { Inspection } from "../../src/store/inspection.ts";
import { addOrganization, addWebhook, closeWhole, openTestStore } from "../store/seed.ts";
import { newDir, removeDir, runCommand, startDaemon } from "../support/daemon.ts";
import { startReceiver } from "../support/receiver.ts";

let dir: string;
let dataDir: string;

beforeEach(async () => {
  dir = newDir();
  dataDir = join(dir, "data");
});
afterEach(() => removeDir(dir));

async function prepare(): Promise<void> {
  const store = openTestStore(dataDir);
  await addWebhook(store, await addOrganization(store));
  // A name that no test may look up.
  store.database.sqlite.exec("UPDATE webhooks SET url = 'https://127.0.0.1/a'");
  await closeWhole(store);
}

async function doctor(args: string[] = [], env: Record<string, string> = {}) {
  const options = ["--data-dir", dataDir, "--port", "0", ...args];
  const { stdout, stderr, code } = await runCommand(["doctor", ...options, "--json"], { cwd: dir, env });
  expect(stderr).toBe("");
  const { ok, checks } = JSON.parse(stdout) as {
    ok: boolean;
    checks: { name: string; status: string; message: string; hint?: string }[];
  };
  expect(ok).toBe(code === 0);
  const wrong = checks.filter(({ status }) => status !== "ok");
  return { code, checks, wrong };
}

describe("armorhooks doctor", () => {
  test("finds nothing wrong with a healthy data directory, and changes nothing in it", async () => {
    await prepare();
    const before = readFileSync(join(dataDir, "armorhooks.db"));
    const { code, checks, wrong } = await doctor();
    expect({ code, wrong }).toEqual({ code: 0, wrong: [] });
    expect(checks.map(({ name }) => name)).toEqual([
      "config",
      "data dir",
      "disk",
      "database",
      "secret key",
      "socket",
      "port",
      "dns",
      "proxy",
      "clock",
    ]);
    expect(readFileSync(join(dataDir, "armorhooks.db")).equals(before)).toBe(true);
  });

  test("goes on where the path of the socket is too long, and says so once", async () => {
    dataDir = join(dir, "long".repeat(30));
    const { code, checks, wrong } = await doctor();
    expect(code).toBe(1);
    expect(checks).toHaveLength(10);
    const told = wrong.filter(({ message }) => message.includes("is longer than 95 bytes"));
    expect(told.map(({ name }) => name)).toEqual(["config"]);
    expect(told[0]?.message.match(/--socket/g)).toHaveLength(1);
  });

  test("finds nothing wrong with a running daemon", async () => {
    const daemon = await startDaemon({ dir });
    const { code, wrong, checks } = await doctor(["--port", new URL(daemon.url).port]);
    expect({ code, wrong }).toEqual({ code: 0, wrong: [] });
    expect(checks.find(({ name }) => name === "port")?.message).toContain("accepts work");
    expect(checks.find(({ name }) => name === "socket")?.message).toContain("the daemon answers");
    await daemon.stop();
  });

  test("warns of a data directory that is not there, and does not make it", async () => {
    const { code, wrong } = await doctor();
    expect(code).toBe(0);
    expect(wrong.map(({ name, status }) => [name, status])).toEqual([["data dir", "warn"]]);
    expect(statSync(dataDir, { throwIfNoEntry: false })).toBeUndefined();
  });

  const wrongs: [
    string,
    string,
    () => { args?: string[]; env?: Record<string, string> } | undefined,
    RegExp,
  ][] = [
    [
      "config",
      "fail",
      () => ({ env: { ARMORHOOKS_RETRY_FACTOR: "0" } }),
      /--retry-factor .*"0".*number from 1/,
    ],
    ["config", "fail", () => ({ args: ["--ca-file", "/nowhere.pem"] }), /cannot read --ca-file/],
    ["config", "warn", () => ({ env: { ARMORHOOKS_RETENTOIN: "1d" } }), /ARMORHOOKS_RETENTOIN/],
    ["data dir", "warn", () => void chmodSync(dataDir, 0o755), /can be read by other users/],
    [
      "database",
      "fail",
      () => {
        const path = join(dataDir, "armorhooks.db");
        const bytes = readFileSync(path);
        bytes.fill(0xff, 4096 * 3, 4096 * 6);
        writeFileSync(path, bytes);
      },
      /armorhooks\.db: ./,
    ],
    [
      "database",
      "fail",
      () => void writeFileSync(join(dataDir, "armorhooks.db"), "no database"),
      /not a database/,
    ],
    [
      "database",
      "fail",
      () => {
        rmSync(join(dataDir, "armorhooks.db"));
        const sqlite = new Database(join(dataDir, "armorhooks.db"));
        sqlite.exec("CREATE TABLE theirs (id)");
        sqlite.close();
        chmodSync(join(dataDir, "armorhooks.db"), 0o600);
      },
      /holds tables of another program/,
    ],
    ["secret key", "fail", () => void rmSync(join(dataDir, "secret.key")), /is missing/],
    [
      "secret key",
      "fail",
      () => void writeFileSync(join(dataDir, "secret.key"), "ab".repeat(32)),
      /is not the key/,
    ],
    ["secret key", "fail", () => void writeFileSync(join(dataDir, "secret.key"), "abc"), /64 hex digits/],
    ["secret key", "warn", () => void chmodSync(join(dataDir, "secret.key"), 0o644), /mode 0644/],
    [
      "secret key",
      "fail",
      () => ({ args: ["--secret-key-file", "/nowhere.key"] }),
      /there is no \/nowhere\.key/,
    ],
    ["socket", "fail", () => void writeFileSync(join(dataDir, "events.sock"), ""), /is not a socket/],
    ["socket", "fail", () => ({ args: ["--socket", "/nowhere/events.sock"] }), /\/nowhere does not exist/],
  ];
  test.each(wrongs)("says what is wrong: %s, %s (%#)", async (name, status, spoil, message) => {
    await prepare();
    const { args, env } = spoil() ?? {};
    const { code, wrong } = await doctor(args, env);
    expect(code).toBe(status === "fail" ? 1 : 0);
    expect(wrong.map((check) => [check.name, check.status])).toContainEqual([name, status]);
    const check = wrong.find((candidate) => candidate.name === name);
    expect(check?.message).toMatch(message);
    expect(check?.hint).toMatch(/\w/);
  });

  test.each([
    ["postgres://db.test/hooks\n", /was moved to postgres:\/\/db\.test\/hooks$/, /start with --database/],
    [
      "postgres://db.test/hooks\nunfinished 0b3b\n",
      /is being moved to postgres:\/\/db\.test\/hooks$/,
      /run armorhooks move --to it again/,
    ],
  ])("says where the contents of a directory have gone: %j", async (mark, message, hint) => {
    await prepare();
    writeFileSync(join(dataDir, "moved-to"), mark, { mode: 0o600 });
    const { code, wrong } = await doctor();
    expect(code).toBe(1);
    expect(wrong).toEqual([
      {
        name: "database",
        status: "fail",
        message: expect.stringMatching(message),
        hint: expect.stringMatching(hint),
      },
    ]);
  });

  test("says when another process has the port", async () => {
    const receiver = startReceiver();
    const { code, wrong } = await doctor(["--port", String(receiver.port)]);
    await receiver.stop();
    expect(code).toBe(1);
    expect(wrong.find(({ name }) => name === "port")?.message).toMatch(/cannot listen on 127\.0\.0\.1:\d+/);
  });

  test("says when a running daemon does not answer at the address named", async () => {
    const daemon = await startDaemon({ dir });
    const receiver = startReceiver(() => new Response("", { status: 503 }));
    const { code, wrong } = await doctor([
      "--port",
      String(receiver.port),
      "--socket",
      join(dir, "other.sock"),
    ]);
    expect(code).toBe(1);
    expect(wrong.map(({ name }) => name)).toEqual(["socket", "port"]);
    await Promise.all([daemon.stop(), receiver.stop()]);
  });

  test("prints a line for each check, and what to do under those that need it", async () => {
    await prepare();
    rmSync(join(dataDir, "secret.key"));
    const { stdout, code } = await runCommand(["doctor", "--data-dir", dataDir, "--port", "0"]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^ok {4}config {6}every option is valid$/m);
    expect(stdout).toMatch(/^fail {2}secret key {2}.*is missing.*\n +→ restore it from a backup/m);
    expect(stdout).not.toContain("\u001b");
  });
});

describe("the clock", () => {
  const now = Date.UTC(2026, 10, 1);
  const facts = { missingMigrations: 0, isNewer: false, sealed: null, carriesKey: false, urls: [] };
  const inspection = (offset: number, newestEventAt: number | null): Inspection => ({
    state: "usable",
    problems: [],
    facts: { ...facts, clock: { offset, last: now }, newestEventAt },
  });

  test("is fine when it agrees with what is stored", () => {
    expect(checkClock(inspection(0, now - 1_000), now).status).toBe("ok");
  });
  test("is wrong before this program was written", () => {
    expect(checkClock(null, Date.UTC(1970, 0, 1)).status).toBe("fail");
  });
  test("is wrong when events came after it", () => {
    expect(checkClock(inspection(0, now + 3_600_000), now).status).toBe("fail");
  });
  test("is worth a warning when it was set by hours", () => {
    expect(checkClock(inspection(-7_200_000, null), now)).toMatchObject({
      status: "warn",
      message: expect.stringContaining("forward by 120 minutes"),
    });
  });
});
