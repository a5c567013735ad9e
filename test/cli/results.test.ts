import { afterEach, describe, expect, test } from "bun:test";
import { connectScanner, LOOPBACK, program, runCommand, scan, startDaemon } from "../support/daemon.ts";
import { atEnd, cleanUp, emptyDir } from "../support/e2e.ts";

afterEach(cleanUp);

/** Runs a command in a shell, with its standard output going elsewhere; `code` is its own. */
async function runInto(into: string, args: string[], options: { cwd: string; env?: Record<string, string> }) {
  const shell = `{ "$@"; echo "exit $?" >&2; } ${into}`;
  const child = Bun.spawn(["sh", "-c", shell, "sh", ...program(false), ...args], {
    cwd: options.cwd,
    env: { PATH: process.env["PATH"] ?? "", ...options.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, said] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const [, stderr, code] = /^([\s\S]*)exit (\d+)\n$/.exec(said) ?? [];
  return { stdout, stderr, code: Number(code) };
}

/** A reader that has gone before anything is written. */
const GONE = "| true";
const FULL = ">/dev/full";
const UNWRITABLE = "armorhooks: cannot write to standard output: ENOSPC: no space left on device, write";

async function newOrganization(cwd: string): Promise<string> {
  const { stdout } = await runCommand(["org", "create", "--name", "a", "--json"], { cwd });
  return JSON.parse(stdout).organization.id;
}

describe("a result that cannot be written", () => {
  test.each([
    ["version"],
    ["--version"],
    ["--help"],
    ["key --help"],
    ["openapi"],
    ["org list"],
    ["org list --json"],
    ["doctor --port 0"],
  ])("%s: one line, and exit code 1", async (line) => {
    const ended = await runInto(FULL, line.split(" "), { cwd: emptyDir() });
    expect(ended).toEqual({ stdout: "", stderr: `${UNWRITABLE}\n`, code: 1 });
  });

  test.each([["version"], ["--help"], ["openapi"], ["org list"]])(
    "%s: nothing more when its reader has gone",
    async (line) => {
      const ended = await runInto(GONE, line.split(" "), { cwd: emptyDir() });
      expect(ended).toEqual({ stdout: "", stderr: "", code: 1 });
    },
  );

  test.each([[FULL], [GONE]])(
    "names the key that was made, so that it can be turned off: %s",
    async (into) => {
      const cwd = emptyDir();
      const org = await newOrganization(cwd);
      for (const json of [[], ["--json"]]) {
        const { code, stderr } = await runInto(into, ["key", "create", "--org", org, ...json], { cwd });
        const id = /^armorhooks: cannot write .*; key (\S+) was made, and nobody has seen it: .*\n$/.exec(
          stderr ?? "",
        )?.[1];
        expect(stderr).toContain(`armorhooks key revoke ${id}`);
        expect(code).toBe(1);
        expect((await runCommand(["key", "revoke", id as string], { cwd })).code).toBe(0);
      }
    },
  );

  test("says what was done all the same", async () => {
    const cwd = emptyDir();
    const { code, stderr } = await runInto(FULL, ["org", "create", "--name", "a"], { cwd });
    expect(code).toBe(1);
    const id = /; it is done: organization (\S+) \(a, plan professional\)\n$/.exec(stderr ?? "")?.[1];
    expect((await runCommand(["org", "list"], { cwd })).stdout).toContain(id as string);
  });

  test("names the webhook whose secret nobody has seen", async () => {
    const daemon = await startDaemon({ dir: emptyDir(), args: LOOPBACK });
    atEnd(() => daemon.stop());
    const env = { ARMORHOOKS_KEY: daemon.key, ARMORHOOKS_URL: daemon.url };
    const args = ["webhook", "create", "https://192.0.43.8/"];
    const { code, stderr } = await runInto(FULL, args, { cwd: daemon.dir, env });
    const { webhooks } = (await daemon.api("GET", "/v1/webhooks")).body;
    expect(webhooks).toHaveLength(1);
    expect(stderr).toContain(`webhook ${webhooks[0].id} was made, and nobody has seen its secret: POST`);
    expect(code).toBe(1);
  });
});

test.each<[string[], number]>([
  [["webhook", "list"], 2],
  [["tail"], 2],
  [["status"], 1],
  [["backup", "copy.db"], 1],
  [["org", "create"], 2],
  [["org", "update", "x", "--name", "a"], 1],
  [["key", "list", "--org", "x"], 1],
  [["doctor", "--frob"], 2],
  [["move", "--to", "nowhere"], 2],
  [["key"], 2],
])("with --json, what refuses %j is an object, and a line for people as ever", async (args, code) => {
  const ended = await runCommand([...args, "--json"], { cwd: emptyDir() });
  expect(ended.code).toBe(code);
  const { error } = JSON.parse(ended.stdout);
  expect(ended.stderr).toEndWith(`armorhooks: ${error.message}\n`);
});

test("a slow reader gets all of a result", async () => {
  const cwd = emptyDir();
  const whole = await runCommand(["openapi"], { cwd });
  // More than a pipe holds.
  expect(whole.stdout.length).toBeGreaterThan(70_000);
  const slow = await runInto("| { sleep 1; cat; }", ["openapi"], { cwd });
  expect(slow).toEqual({ ...whole, code: 0 });
});

describe("what goes on until it is interrupted", () => {
  test("tail and listen end with their reader, or when they cannot write", async () => {
    const daemon = await startDaemon({ dir: emptyDir(), args: LOOPBACK });
    atEnd(() => daemon.stop());
    const env = { ARMORHOOKS_KEY: daemon.key, ARMORHOOKS_URL: daemon.url };
    const scanner = await connectScanner(daemon.socket);
    atEnd(() => scanner.close());
    const ends = Promise.all([
      runInto("| head -1", ["tail", "--json"], { cwd: daemon.dir, env }),
      runInto(FULL, ["tail"], { cwd: daemon.dir, env }),
    ]);
    let over = false;
    ends.then(() => {
      over = true;
    });
    while (!over) {
      await scanner.send(scan());
      await Bun.sleep(50);
    }
    const [head, full] = await ends;
    expect(head).toEqual({ stdout: expect.stringMatching(/^\{.*\}\n$/), stderr: "", code: 1 });
    expect(full).toEqual({ stdout: "", stderr: `${UNWRITABLE}\n`, code: 1 });
  }, 15_000);

  test.each([
    ["| head -1", /^$/],
    [FULL, new RegExp(`^${UNWRITABLE}\n$`)],
  ])(
    "listen ends: %s",
    async (into, says) => {
      const port = freePort();
      const end = runInto(into, ["listen", "--port", String(port)], { cwd: emptyDir() });
      let over = false;
      end.then(() => {
        over = true;
      });
      while (!over) {
        await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "x" }).catch(() => {});
        await Bun.sleep(20);
      }
      const { code, stderr } = await end;
      expect(code).toBe(1);
      expect(stderr?.replace(/^listening on .*\n/, "")).toMatch(says);
    },
    15_000,
  );
});

function freePort(): number {
  const server = Bun.serve({ port: 0, fetch: () => new Response() });
  const { port } = server;
  server.stop(true);
  return port as number;
}
