import { afterEach, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "../support/daemon.ts";
import { cleanUp, emptyDir } from "../support/e2e.ts";

afterEach(cleanUp);

test.each([
  ["postgres://me@db.example", 2, "--to must name a database: postgres://user@host:5432/armorhooks"],
  ["postgres:///hooks", 2, "--to must name a host: postgres://user@host:5432/armorhooks"],
  ["postgres://me@db.example/hooks?sslmode=maybe", 2, "sslmode in --to must be one of"],
  ["postgres://me@db.example/hooks?pool=5", 2, "--to has the parameter pool"],
  [
    "postgres://me@nowhere.invalid/hooks",
    1,
    "cannot move to postgres://me@nowhere.invalid/hooks: the name nowhere.invalid cannot be looked up",
  ],
  [
    "postgres://me@127.0.0.1:1/hooks",
    1,
    "see whether the server runs there, and lets this machine in; run it again to go on",
  ],
])("move --to %s ends with %d and says why in the words of its own flag", async (url, code, says) => {
  const cwd = emptyDir();
  expect((await runCommand(["org", "create", "--name", "a"], { cwd })).code).toBe(0);
  writeFileSync(join(cwd, "data/secret.key"), "0".repeat(64));
  const ended = await runCommand(["move", "--to", url], { cwd });
  expect([ended.code, ended.stdout]).toEqual([code, ""]);
  expect(ended.stderr).toContain(says);
  expect(ended.stderr).not.toContain("--database");
  // Nothing has begun.
  expect((await runCommand(["org", "list"], { cwd })).code).toBe(0);
});
