import { afterEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { RunningDaemon } from "../support/daemon.ts";
import { atEnd, cleanUp, command, emptyDir, startBinary } from "../support/e2e.ts";

afterEach(cleanUp);

/** Somebody who may use only what all may use: root runs the command as nobody, others shut themselves out by modes. */
const THROUGH =
  process.getuid?.() === 0 ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : [];

const asStranger = (args: string[], env: Record<string, string> = {}) =>
  command(args, { cwd: "/", env, through: THROUGH });

/** Takes all rights to a path away until the end of the test. */
function shut(path: string, mode = 0): void {
  chmodSync(path, mode);
  atEnd(() => chmodSync(path, 0o700));
}

interface Check {
  name: string;
  status: string;
  message: string;
  hint?: string;
}

async function doctor(...args: string[]): Promise<Check[]> {
  const { stdout, stderr } = await asStranger(["doctor", "--json", ...args]);
  expect(stderr).toBe("");
  return JSON.parse(stdout).checks;
}

async function startReadable(): Promise<RunningDaemon> {
  const daemon = await startBinary();
  chmodSync(daemon.dir, 0o755);
  return daemon;
}

/** What is wrong with nothing but the rights of who asks must not lead to anything drastic. */
function expectHarmless(checks: Check[]): void {
  for (const { hint = "" } of checks) expect(hint).not.toMatch(/backup|restart|right key|stop the daemon/);
}

/** Root is who can make what somebody else is to use. */
describe.if(process.getuid?.() === 0)("what root makes in the directory of the daemon's user", () => {
  const NOBODY = 65_534;

  const ownersIn = (path: string): number[] => [
    statSync(path).uid,
    ...readdirSync(path).map((name) => statSync(join(path, name)).uid),
  ];

  test.each(["exists", "is made"])(
    "is that user's, where the data directory %s",
    async (kind) => {
      const dir = emptyDir();
      const dataDir = join(dir, "data");
      if (kind === "exists") mkdirSync(dataDir, { mode: 0o700 });
      for (const path of kind === "exists" ? [dir, dataDir] : [dir]) chownSync(path, NOBODY, NOBODY);
      const made = await command(["org", "create", "--name", "acme"], { cwd: dir });
      expect([made.code, made.stderr]).toEqual([0, ""]);
      await command(["secret-key", "rotate"], { cwd: dir });
      expect(new Set(ownersIn(dataDir))).toEqual(new Set([NOBODY]));
      const daemon = await startBinary({ dir, through: THROUGH });
      expect((await command(["key", "list", "--org", crypto.randomUUID()], { cwd: dir })).code).toBe(1);
      expect((await command(["org", "create", "--name", "beta"], { cwd: dir })).code).toBe(0);
      expect(new Set(ownersIn(dataDir))).toEqual(new Set([NOBODY]));
      expect(await daemon.stop()).toBe(0);
      const move = ["move", "--to", "postgres://nobody@127.0.0.1:1/nowhere"];
      await command(move, { cwd: dir });
      expect(new Set(ownersIn(dataDir))).toEqual(new Set([NOBODY]));
    },
    20_000,
  );

  test("is that user's also when root's daemon was killed, and that user's starts", async () => {
    const dir = emptyDir();
    chownSync(dir, NOBODY, NOBODY);
    const before = await startBinary({ dir });
    await before.stop("SIGKILL");
    expect(readdirSync(before.dataDir)).toContain("events.sock");
    expect(new Set(ownersIn(before.dataDir))).toEqual(new Set([NOBODY]));
    const after = await startBinary({ dir, through: THROUGH });
    expect(await after.stop()).toBe(0);
  }, 20_000);

  test("does not become that user's through a link when it is given back as doctor says", async () => {
    const dir = emptyDir();
    const dataDir = join(dir, "data");
    mkdirSync(dataDir, { mode: 0o700 });
    writeFileSync(join(dir, "precious"), "");
    symlinkSync("../precious", join(dataDir, "link"));
    writeFileSync(join(dataDir, "file"), "");
    chownSync(dataDir, NOBODY, NOBODY);
    const { stdout } = await command(["doctor", "--json", "--data-dir", dataDir], { cwd: dir });
    const { hint } = JSON.parse(stdout).checks.find(({ name }: Check) => name === "data dir");
    expect(hint).toMatch(/^chown /);
    const { exitCode } = Bun.spawnSync(["sh", "-c", hint]);
    expect(exitCode).toBe(0);
    const owners = ["precious", "data/link", "data/file"].map((path) => lstatSync(join(dir, path)).uid);
    expect(owners).toEqual([0, NOBODY, NOBODY]);
  });

  test("is root's where the directory is", async () => {
    const dir = emptyDir();
    await command(["org", "create", "--name", "acme"], { cwd: dir });
    expect(new Set(ownersIn(join(dir, "data")))).toEqual(new Set([0]));
  });
});

describe("without the rights of the daemon's user", () => {
  test("a data directory that may not be searched is not called empty", async () => {
    const daemon = await startReadable();
    shut(daemon.dataDir);
    const place = ["--data-dir", daemon.dataDir];
    const file = join(emptyDir(), "copy.db");
    for (const args of [
      ["status", ...place],
      ["backup", file, ...place],
      ["move", "--to", "postgres://nobody@127.0.0.1:1/nowhere", ...place],
      ["secret-key", "rotate", ...place],
      ["notify-secret", ...place],
      ["org", "list", ...place],
    ]) {
      const { code, stderr } = await asStranger(args);
      expect([args, code, stderr]).toEqual([
        args,
        1,
        expect.stringMatching(/EACCES.*; run as the daemon's user\n$/),
      ]);
      expect(stderr).toContain(daemon.dataDir);
    }
    const checks = await doctor(...place, "--port", new URL(daemon.url).port);
    expectHarmless(checks);
    for (const name of ["data dir", "database", "secret key", "socket"]) {
      const found = checks.find((check) => check.name === name);
      expect(found).toMatchObject({
        status: "fail",
        hint: expect.stringContaining("run as the daemon's user"),
      });
    }
    expect(checks.find(({ name }) => name === "port")).toMatchObject({
      status: "ok",
      message: expect.stringContaining("accepts work"),
    });
  }, 20_000);

  test("what is no directory is called so", async () => {
    const file = join(emptyDir(), "file");
    writeFileSync(file, "");
    const status = await command(["status", "--data-dir", file]);
    expect([status.code, status.stderr]).toEqual([1, expect.stringContaining("ENOTDIR")]);
    const { checks } = JSON.parse((await command(["doctor", "--json", "--data-dir", file])).stdout);
    expect(checks.find(({ name }: Check) => name === "database").status).toBe("fail");
  });

  test.each(["armorhooks.db", "secret.key", "events.sock"])(
    "doctor does not take %s that may not be read for one that is broken",
    async (name) => {
      const daemon = await startReadable();
      chmodSync(daemon.dataDir, 0o755);
      shut(join(daemon.dataDir, name));
      const checks = await doctor("--data-dir", daemon.dataDir, "--port", "0");
      expectHarmless(checks);
      const found = checks.find(
        ({ message }) => message.includes(name) && !message.includes("cannot be written by"),
      );
      expect(found).toMatchObject({
        status: "fail",
        hint: expect.stringContaining("run as the daemon's user"),
      });
    },
    20_000,
  );

  test("doctor does not call a database broken whose directory may not be written", async () => {
    const daemon = await startReadable();
    await daemon.stop();
    shut(daemon.dataDir, 0o555);
    chmodSync(join(daemon.dataDir, "armorhooks.db"), 0o644);
    const checks = await doctor("--data-dir", daemon.dataDir, "--port", "0");
    expectHarmless(checks);
    const started = await asStranger(["serve", "--data-dir", daemon.dataDir]);
    expect([started.code, started.stderr]).toEqual([
      1,
      expect.stringContaining("run as the user that owns it"),
    ]);
    expect(checks.find(({ name }) => name === "data dir")?.hint).toContain("run as the daemon's user");
    expect(checks.find(({ name }) => name === "database")?.hint).toContain("run as the daemon's user");
  });
});
