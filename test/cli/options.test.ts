import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { secretKeyPath } from "../../src/config/environment.ts";
import { isDefaultOf, serveOptions } from "../../src/config/options.ts";
import { parseHost } from "../../src/config/parse.ts";
import { toConfig } from "../../src/config/resolve.ts";
import { runCommand } from "../support/daemon.ts";
import { cleanUp, emptyDir } from "../support/e2e.ts";

afterEach(cleanUp);

/** What serve would make of a command line. */
function configOf(...args: string[]) {
  const command = new Command();
  for (const option of serveOptions()) command.addOption(option);
  command.exitOverride().parse(args, { from: "user" });
  return toConfig(command.opts(), { environment: {}, isDefault: isDefaultOf(command) });
}

describe("--host", () => {
  test.each([
    ["127.0.0.1", "127.0.0.1"],
    ["0.0.0.0", "0.0.0.0"],
    ["203.0.113.7", "203.0.113.7"],
    ["127.1", "127.1"],
    ["::", "::"],
    ["[::1]", "::1"],
    ["fe80::1%eth0", "fe80::1%eth0"],
    ["localhost", "localhost"],
    ["hooks-1.my_net.internal.", "hooks-1.my_net.internal."],
    ["3com.example", "3com.example"],
  ])("%j is one", (text, host) => {
    expect(parseHost(text)).toBe(host);
  });

  test.each([
    "999.1.1.1",
    "1.2.3.4.5",
    "4294967296",
    "hooks.256",
    "a b",
    " ",
    " 127.0.0.1",
    "http://127.0.0.1",
    "127.0.0.1:8787",
    "127.0.0.1/8",
    "user@host",
    "a..b",
    ".",
    "-a.example",
    "a-",
    `${"a".repeat(64)}.example`,
    "::1::",
    "[::1",
    "[127.0.0.1]",
    "%31",
    "host\n",
    "",
  ])("%j is none", (text) => {
    expect(() => parseHost(text)).toThrow(/must be an address such as 127\.0\.0\.1 or ::1, or a host name/);
  });

  test.each(["serve", "health", "listen"])("that cannot be one is a bad value of %s", async (name) => {
    const dir = emptyDir();
    for (const host of ["999.1.1.1", "http://x", "a b"]) {
      const { code, stdout, stderr } = await runCommand([name, "--host", host], { cwd: dir });
      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
      expect(stderr).toMatch(
        /^armorhooks: option '--host <HOST>' argument .* is invalid\. It must be an address/,
      );
      expect(stderr.trim().split("\n")).toHaveLength(1);
    }
    expect(existsSync(join(dir, "data"))).toBe(false);
  });

  test("of another machine is a good value, with which serve cannot listen", async () => {
    const args = ["serve", "--host", "203.0.113.7", "--port", "0"];
    const { code, stderr } = await runCommand(args, { cwd: emptyDir() });
    expect([code, stderr]).toEqual([1, expect.stringContaining("cannot listen on 203.0.113.7")]);
  });
});

describe("delays between attempts", () => {
  test("a shortest one that is longer than the longest is refused, with both flags in the line", () => {
    const says =
      /^--retry-min-delay \(ARMORHOOKS_RETRY_MIN_DELAY\) 2h must not be longer than --retry-max-delay \(ARMORHOOKS_RETRY_MAX_DELAY\) 1h$/;
    expect(() => configOf("--retry-min-delay", "2h", "--retry-max-delay", "1h")).toThrow(says);
    expect(() => configOf("--retry-min-delay", "1d")).toThrow(/1d must not be longer than .* 12h$/);
  });

  test("may be the same, and a longest one alone is meant as it says", () => {
    expect(configOf("--retry-min-delay", "1h", "--retry-max-delay", "60m").retryMaxDelay).toBe(3_600_000);
    expect(configOf("--retry-max-delay", "1s").retryMaxDelay).toBe(1_000);
  });

  test("are refused at the start with exit code 2, and doctor says so", async () => {
    const dir = emptyDir();
    const env = { ARMORHOOKS_RETRY_MIN_DELAY: "2h", ARMORHOOKS_RETRY_MAX_DELAY: "1h" };
    const { code, stderr } = await runCommand(["serve", "--port", "0"], { cwd: dir, env });
    expect([code, stderr]).toEqual([2, expect.stringMatching(/^armorhooks: --retry-min-delay .*\n$/)]);
    expect(existsSync(join(dir, "data"))).toBe(false);
    const doctor = await runCommand(["doctor", "--port", "0"], { cwd: dir, env });
    expect([doctor.code, doctor.stdout]).toEqual([
      1,
      expect.stringMatching(/^fail +config +--retry-min-delay/),
    ]);
  });
});

describe("--proxy", () => {
  test.each([
    "http://proxy.corp",
    "http://proxy.corp/",
    "http://user:80@proxy.corp",
    "http://[fd00::1]",
    "http://proxy.corp:0",
  ])("%s names no port, and is refused", (text) => {
    expect(() => configOf("--proxy", text)).toThrow(
      "--proxy (ARMORHOOKS_PROXY) cannot be used: it must name the proxy's port, as in http://host:3128",
    );
  });

  test.each([
    ["http://proxy.corp:80", 80],
    ["http://proxy.corp:080/", 80],
    ["http://[fd00::1]:3128", 3128],
    ["http://user:pass@proxy.corp:8080/", 8080],
  ])("%s is one", (text, port) => {
    expect(configOf("--proxy", text).proxy?.port).toBe(port);
  });
});

describe("--notify-url", () => {
  test.each([
    ["ftp://usr:s3cret@h/", "must be an http or https URL"],
    ["s3cret", "must be an http or https URL"],
    ["https://hooks.slack.com:0/services/s3cret", "must not have port 0, to which nobody can connect"],
    ["https://usr:s3cret@h/", "must not contain a user name or password"],
    ["http://s3cret@h/", "must not contain a user name or password"],
    ["http://:@h/s3cret", "must not contain a user name or password"],
  ])("%s is refused, and not repeated", async (text, says) => {
    const message = `--notify-url (ARMORHOOKS_NOTIFY_URL) ${says}`;
    expect(() => configOf("--notify-url", text)).toThrow(message);
    const env = { ARMORHOOKS_NOTIFY_URL: text };
    const serve = await runCommand(["serve", "--port", "0"], { cwd: emptyDir(), env });
    expect(serve).toEqual({ code: 2, stdout: "", stderr: `armorhooks: ${message}\n` });
    const doctor = await runCommand(["doctor", "--port", "0", "--json"], { cwd: emptyDir(), env });
    expect(doctor.stdout).toContain(`"message":"${message}"`);
    expect(doctor.stdout + doctor.stderr).not.toContain("s3cret");
  });

  test("may have an @ behind the host, and is kept as it was written", () => {
    const url = "https://hooks.example/@team?to=a@b";
    expect(configOf("--notify-url", url).notifyUrl).toBe(url);
  });
});

describe("what may be a secret is not repeated", () => {
  const key = ["--key", "ia_sk_1", "--url", "http://127.0.0.1:1"];
  test.each<[string[], RegExp]>([
    [["serve", "--notify-urll=https://h/s3cret"], /unknown option '--notify-urll'/],
    [["serve", "https://h/s3cret"], /too many arguments for 'serve'.* but got 1$/],
    [["https://h/s3cret"], /unknown command 'https:\/\/…'$/],
    [
      ["serve", "--host", "https://u:s3cret@h/"],
      /'--host <HOST>' argument 'https:\/\/…' is invalid\. It must/,
    ],
    [
      ["webhook", "create", "https://h/", "--header", "authorization=s3cret", ...key],
      /--header must be "name: value"$/,
    ],
    [
      ["webhook", "list", "--key", "k", "--url", "ftp://u:s3cret@h"],
      /--url \(ARMORHOOKS_URL\) must be an http/,
    ],
    [["move", "--to", "ftp://u:s3cret@h"], /--to must be a URL such as/],
    [["serve", "--proxy", "ftp://u:s3cret@h"], /--proxy \(ARMORHOOKS_PROXY\) cannot be used/],
    [["listen", "--secret", "s3cret"], /--secret must be/],
  ])("%j", async (args, says) => {
    const { code, stdout, stderr } = await runCommand(args, { cwd: emptyDir() });
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr.trimEnd()).toMatch(says);
    expect(stderr).not.toContain("s3cret");
  });

  test("nor in an environment variable, which is named, nor by doctor", async () => {
    const env = { ARMORHOOKS_HOST: "https://u:s3cret@h/" };
    const serve = await runCommand(["serve"], { cwd: emptyDir(), env });
    expect(serve.stderr).toMatch(/value 'https:\/\/…' from env 'ARMORHOOKS_HOST' is invalid/);
    const doctor = await runCommand(["doctor", "--port", "0"], { cwd: emptyDir(), env });
    expect(doctor.stdout).toMatch(/--host \(ARMORHOOKS_HOST\) "https:\/\/…": It must be/);
  });
});

test("numbers are decimal", async () => {
  for (const text of ["0x10", "1e1", "", "Infinity", "4.", "+4"]) {
    expect(() => configOf("--retry-factor", text)).toThrow("It must be a number from 1 to 100.");
  }
  expect(configOf("--retry-factor", "1.5").retryFactor).toBe(1.5);
  const args = ["webhook", "update", "x", "--key", "k", "--min-risk-score", "0x10"];
  expect(await runCommand(args)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("It must be a number."),
  });
});

describe("a systemd credential", () => {
  test("that is not there is none", () => {
    expect(secretKeyPath(null, { CREDENTIALS_DIRECTORY: emptyDir() })).toBeNull();
  });

  test("that cannot be read is refused, and no other key is made instead", async () => {
    const dir = emptyDir();
    writeFileSync(join(dir, "file"), "");
    mkdirSync(join(dir, "armorhooks-secret-key"));
    for (const CREDENTIALS_DIRECTORY of [dir, join(dir, "file")]) {
      const serve = await runCommand(["serve", "--port", "0"], { cwd: dir, env: { CREDENTIALS_DIRECTORY } });
      expect(serve).toMatchObject({ code: 2, stdout: "" });
      expect(serve.stderr).toContain(join(CREDENTIALS_DIRECTORY, "armorhooks-secret-key"));
      expect(existsSync(join(dir, "data/secret.key"))).toBe(false);
    }
  });
});

test("a data directory that is a file, or below one, is called no directory", async () => {
  const dir = emptyDir();
  const file = join(dir, "file");
  writeFileSync(file, "");
  for (const args of [
    ["serve", "--port", "0"],
    ["org", "list"],
  ]) {
    for (const path of [file, join(file, "x/y")]) {
      const { code, stderr } = await runCommand([...args, "--data-dir", path], { cwd: dir });
      expect([code, stderr]).toEqual([
        1,
        `armorhooks: cannot use data directory ${path}: ${file} is not a directory\n`,
      ]);
    }
  }
});

test("key create --rate-limit says both limits", async () => {
  for (const limit of ["0", "10000000000", "1.5"]) {
    const args = ["key", "create", "--org", "x", "--rate-limit", limit];
    const { code, stderr } = await runCommand(args, { cwd: emptyDir() });
    expect([code, stderr]).toEqual([2, expect.stringContaining("a whole number from 1 to 999999999.")]);
  }
});
