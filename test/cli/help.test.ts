import { expect, test } from "bun:test";
import { runCommand } from "../support/daemon.ts";

const COMMANDS = [
  "",
  "serve",
  "org create",
  "org list",
  "org update",
  "key create",
  "key list",
  "key revoke",
  "send",
  "webhook list",
  "webhook create",
  "webhook update",
  "webhook test",
  "webhook delete",
  "listen",
  "tail",
  "status",
  "doctor",
  "backup",
  "health",
  "secret-key rotate",
  "notify-secret",
  "openapi",
  "version",
];

test.each(COMMANDS)("armorhooks %s --help ends well and has an example", async (command) => {
  const words = command.split(" ").filter((word) => word !== "");
  const { stdout, stderr, code } = await runCommand([...words, "--help"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(new RegExp(`Example:\\n(  .*\\n)*?  .*armorhooks ${words[0] ?? "serve"}`));
});

test("status and doctor say in their help what their exit codes mean", async () => {
  for (const command of ["status", "doctor"]) {
    expect((await runCommand([command, "--help"])).stdout).toMatch(/Exit codes:\n {2}0 .*\n {2}1 /);
  }
});

test("an unknown command is refused with exit code 2", async () => {
  const { code, stderr } = await runCommand(["statsu"]);
  expect(code).toBe(2);
  expect(stderr).toContain("unknown command");
});
