import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { newDir, removeDir, runCommand } from "../support/daemon.ts";

let dir: string;
let dataDir: string;

beforeAll(() => {
  dir = newDir();
  dataDir = join(dir, "data");
});
afterAll(() => removeDir(dir));

const run = (...args: string[]) => runCommand([...args, "--data-dir", dataDir], { cwd: dir });
const json = async (...args: string[]) => {
  const { stdout, stderr, code } = await run(...args, "--json");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout);
};

const ISO = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const UUID = expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);

async function newOrganization(...args: string[]): Promise<string> {
  return (await json("org", "create", "--name", "acme", ...args)).organization.id;
}

describe("armorhooks org", () => {
  test("makes the data directory with mode 0700 and the database with 0600", async () => {
    await newOrganization();
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect(statSync(join(dataDir, "armorhooks.db")).mode & 0o777).toBe(0o600);
  });

  test("create prints the organization, on the plan professional unless told otherwise", async () => {
    const made = await json("org", "create", "--name", "  acme  ");
    expect(made).toStrictEqual({
      organization: { id: UUID, name: "acme", plan: "professional", created_at: ISO },
    });
  });

  test("list prints every organization in order of creation", async () => {
    const first = await newOrganization("--plan", "trial");
    const second = await newOrganization();
    const { organizations } = await json("org", "list");
    expect(organizations.map(({ id }: { id: string }) => id).slice(-2)).toEqual([first, second]);
  });

  test("update changes only what is named", async () => {
    const id = await newOrganization("--plan", "trial");
    expect((await json("org", "update", id, "--plan", "enterprise")).organization).toMatchObject({
      id,
      name: "acme",
      plan: "enterprise",
    });
    expect((await json("org", "update", id.toUpperCase(), "--name", "other")).organization).toMatchObject({
      name: "other",
      plan: "enterprise",
    });
  });

  test.each([
    [["org", "create"], 2, /--name/],
    [["org", "create", "--name", " "], 2, /--name must have 1 to 200 characters/],
    [["org", "create", "--name", "x", "--plan", "gold"], 2, /--plan must be one of personal, trial/],
    [["org", "update", "1234", "--name", "x"], 1, /no organization has this id in .*armorhooks\.db/],
    [["org", "update", "1234"], 2, /say what to change/],
    [["org", "nonsense"], 2, /unknown command/],
  ])("%p ends with one line on standard error", async (args, code, message) => {
    const result = await run(...args);
    expect(result.code).toBe(code);
    expect(result.stdout).toBe("");
    expect(result.stderr).toMatch(message);
    expect(result.stderr.trim().split("\n")).toHaveLength(1);
  });

  test("list aligns its columns and carries no colour codes when it is piped", async () => {
    await newOrganization();
    const { stdout } = await run("org", "list");
    expect(stdout).not.toContain("\u001b");
    const [header, ...rows] = stdout.trimEnd().split("\n");
    const column = header?.indexOf("NAME") ?? -1;
    for (const row of rows) expect(row[column - 1]).toBe(" ");
    expect(header).toMatch(/^ID +NAME +PLAN +CREATED$/);
  });

  test("control characters in a name do not reach the terminal", async () => {
    await run("org", "create", "--name", "a\u001b[31mb");
    expect((await run("org", "list")).stdout).toContain("a?[31mb");
  });
});

describe("armorhooks key", () => {
  const key = {
    id: UUID,
    organization_id: UUID,
    name: "api key",
    key_prefix: expect.stringMatching(/^ia_sk_[0-9a-f]{6}$/),
    rate_limit_per_minute: 60,
    enabled: true,
    last_used_at: null,
    created_at: ISO,
    expires_at: null,
  };

  test("create prints the key once, list never", async () => {
    const org = await newOrganization();
    const made = await json("key", "create", "--org", org);
    expect(made).toStrictEqual({ key, raw_key: expect.stringMatching(/^ia_sk_[0-9a-f]{48}$/) });
    expect(made.raw_key.startsWith(made.key.key_prefix)).toBe(true);
    const { stdout } = await run("key", "list", "--org", org, "--json");
    expect(JSON.parse(stdout)).toStrictEqual({ keys: [made.key] });
    expect(stdout).not.toContain(made.raw_key);
  });

  test("create takes a name, a rate limit and an expiry", async () => {
    const org = await newOrganization();
    const options = ["--name", "ci", "--rate-limit", "7", "--expires-at", "2099-01-01T00:00:00Z"];
    expect((await json("key", "create", "--org", org, ...options)).key).toStrictEqual({
      ...key,
      name: "ci",
      rate_limit_per_minute: 7,
      expires_at: "2099-01-01T00:00:00.000Z",
    });
  });

  test("revoke turns a key off for good", async () => {
    const org = await newOrganization();
    const { id } = (await json("key", "create", "--org", org)).key;
    expect(await json("key", "revoke", id)).toStrictEqual({
      key: { ...key, id, organization_id: org, enabled: false },
    });
    expect((await json("key", "list", "--org", org)).keys[0].enabled).toBe(false);
  });

  test.each([
    [["key", "create", "--org", "1234"], 1, /--org names no organization in .*armorhooks\.db/],
    [["key", "create"], 2, /--org/],
    [["key", "create", "--org", "1", "--rate-limit", "0"], 2, /whole number from 1/],
    [["key", "create", "--org", "1", "--expires-at", "tomorrow"], 2, /ISO 8601/],
    [["key", "create", "--org", "1", "--expires-at", "2099-01-01T00:00:00"], 2, /with a zone/],
    [["key", "create", "--org", "1", "--expires-at", "2099-01-01"], 2, /with a zone/],
    [["key", "create", "--org", "1", "--expires-at", "2020-01-01T00:00:00Z"], 2, /must lie in the future/],
    [["key", "revoke", "1234"], 1, /no key has this id in .*armorhooks\.db/],
  ])("%p ends with one line on standard error", async (args, code, message) => {
    const result = await run(...args);
    expect(result.code).toBe(code);
    expect(result.stderr).toMatch(message);
    expect(result.stderr.trim().split("\n")).toHaveLength(1);
  });
});

test("an update that says nothing to change makes no data directory", async () => {
  const dataDir = join(dir, "nothing");
  expect((await runCommand(["org", "update", "1234", "--data-dir", dataDir])).code).toBe(2);
  expect(existsSync(dataDir)).toBe(false);
});

test("a wrong data directory is said, and nothing is made in its place", async () => {
  await Bun.write(join(dir, "file"), "");
  const { code, stderr } = await runCommand(["org", "list", "--data-dir", join(dir, "file")]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/cannot use data directory/);
  expect(existsSync(join(dir, "file", "armorhooks.db"))).toBe(false);
});
