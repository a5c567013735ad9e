import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { openTestStore } from "../store/seed.ts";
import { newDir, removeDir, runCommand, startDaemon } from "../support/daemon.ts";

let dir: string;
let cwd: string;

beforeEach(async () => {
  dir = newDir();
  // Longer than the path of a socket may be.
  cwd = join(dir, "long".repeat(30));
  mkdirSync(cwd);
  await openTestStore(join(cwd, "data")).close();
});
afterEach(() => removeDir(dir));

test("commands that have nothing to do with the socket work however long the path is", async () => {
  const secret = await runCommand(["notify-secret"], { cwd });
  expect([secret.stderr, secret.code]).toEqual(["", 0]);
  const backup = await runCommand(["backup", "copy.db"], { cwd });
  expect([backup.stderr, backup.code]).toEqual(["", 0]);
  expect(existsSync(join(cwd, "copy.db"))).toBe(true);
  const rotated = await runCommand(["secret-key", "rotate"], { cwd });
  expect([rotated.stderr, rotated.code]).toEqual(["", 0]);
});

test("an IPv6 address may be given as in a URL", async () => {
  const daemon = await startDaemon({ dir, args: ["--host", "[::1]"] });
  expect(daemon.url).toMatch(/^http:\/\/\[::1\]:\d+$/);
  expect((await fetch(`${daemon.url}/health`)).status).toBe(200);
  await daemon.stop();
});
