import { afterEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { getPriority } from "node:os";
import { join } from "node:path";
import { BINARY, connectScanner, LOOPBACK, request, scan, until } from "../support/daemon.ts";
import {
  atEnd,
  cleanUp,
  command,
  commandJson,
  deliveriesOf,
  emptyDir,
  linesOf,
  receive,
  register,
  startAgain,
  startBinary,
  untilLogged,
} from "../support/e2e.ts";
import { threadsOf } from "../support/proc.ts";

afterEach(cleanUp);

/** A refusal is one line on standard error, without a stack, and nothing else. */
function expectRefusal(result: { stdout: string; stderr: string; code: number }, code: number, says: RegExp) {
  expect(result).toMatchObject({ code, stdout: "" });
  expect(result.stderr).toMatch(says);
  expect(result.stderr.trim().split("\n")).toHaveLength(1);
  expect(result.stderr).not.toMatch(/\bat \S+ \(|\$bunfs/);
}

describe("one daemon per data directory", () => {
  test("a second one refuses with exit code 1 and a clear line, and the first one works on", async () => {
    const daemon = await startBinary();
    const args = [
      "serve",
      "--port",
      "0",
      "--data-dir",
      daemon.dataDir,
      "--socket",
      join(daemon.dir, "b.sock"),
    ];
    expectRefusal(await command(args), 1, /another armorhooks is running on data directory/);
    const scanner = await connectScanner(daemon.socket);
    expect((await scanner.send(scan()))[0]).toMatchObject({ ok: true });
    scanner.close();
  });

  test("a port that is taken is refused with exit code 1, and leaves no socket file", async () => {
    const daemon = await startBinary();
    const dir = emptyDir();
    const port = new URL(daemon.url).port;
    expectRefusal(await command(["serve", "--port", port], { cwd: dir }), 1, /cannot listen on .* port \d+/);
    expect(existsSync(join(dir, "data/events.sock"))).toBe(false);
  });
});

describe("the socket file", () => {
  test("one left by a kill is replaced", async () => {
    const before = await startBinary();
    await before.stop("SIGKILL");
    const stale = lstatSync(before.socket);
    expect(stale.isSocket()).toBe(true);
    const after = await startAgain(before);
    expect(lstatSync(after.socket).ino).not.toBe(stale.ino);
    const scanner = await connectScanner(after.socket);
    expect((await scanner.send(scan()))[0]).toMatchObject({ ok: true });
    scanner.close();
  });

  test("it goes when the daemon stops", async () => {
    const daemon = await startBinary();
    expect(lstatSync(daemon.socket).mode & 0o777).toBe(0o660);
    await daemon.stop();
    expect(existsSync(daemon.socket)).toBe(false);
  });

  test("a path that is a file, a directory or a link is refused and never removed", async () => {
    const dir = emptyDir();
    writeFileSync(join(dir, "file"), "precious");
    mkdirSync(join(dir, "directory"));
    symlinkSync(join(dir, "file"), join(dir, "link"));
    for (const name of ["file", "directory", "link"]) {
      const path = join(dir, name);
      const before = lstatSync(path);
      const result = await command(["serve", "--port", "0", "--socket", path], { cwd: dir });
      expectRefusal(result, 1, /exists and is not a socket/);
      expect(lstatSync(path)).toMatchObject({ ino: before.ino, mode: before.mode });
    }
    expect(readFileSync(join(dir, "file"), "utf8")).toBe("precious");
  });

  test("one that another program listens on is refused and stays", async () => {
    const dir = emptyDir();
    const path = join(dir, "taken.sock");
    const other = createServer().listen(path);
    atEnd(() => other.close());
    await until("the other program listens", () => existsSync(path));
    const result = await command(["serve", "--port", "0", "--socket", path], { cwd: dir });
    expectRefusal(result, 1, /another process is listening/);
    expect(existsSync(path)).toBe(true);
  });
});

test("what it cannot use is refused with exit code 1 and one line", async () => {
  const dir = emptyDir();
  writeFileSync(join(dir, "file"), "");
  const serve = (...args: string[]) => command(["serve", "--port", "0", ...args], { cwd: dir });
  expectRefusal(await serve("--data-dir", "file"), 1, /cannot use data directory/);
  expectRefusal(await serve("--socket", "absent/events.sock"), 1, /absent does not exist; make it/);
  expectRefusal(await serve("--socket", "file/events.sock"), 1, /file is not a directory/);
  expectRefusal(await serve("--host", "203.0.113.7"), 1, /cannot listen on 203\.0\.113\.7/);
  expectRefusal(
    await serve("--host", "nowhere.invalid"),
    1,
    /on nowhere\.invalid port \d+: the name has no address/,
  );
});

describe("the first API key", () => {
  test("is made once everything else has started", async () => {
    const dir = emptyDir();
    const serve = (...args: string[]) =>
      command(["serve", "--bootstrap", "--port", "0", ...args], { cwd: dir });
    expectRefusal(await serve("--socket", "absent/events.sock"), 1, /does not exist/);
    expectRefusal(await serve("--host", "203.0.113.7"), 1, /cannot listen/);
    const daemon = await startBinary({ dir });
    expect((await daemon.api("GET", "/v1/webhooks")).status).toBe(200);
  });

  test("is not made when it cannot be printed", async () => {
    const dir = emptyDir();
    const shell = `exec "$0" serve --bootstrap --port 0 >/dev/full`;
    const child = Bun.spawn(["/bin/sh", "-c", shell, BINARY], { cwd: dir, stderr: "pipe" });
    const stderr = await new Response(child.stderr).text();
    expect({ code: await child.exited, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^armorhooks: the first API key cannot be printed .*ENOSPC/),
    });
    const daemon = await startBinary({ dir });
    expect(daemon.key).toMatch(/^ia_sk_/);
  });

  test("is not made when only a part of it can be printed", async () => {
    const dir = emptyDir();
    const log = join(dir, "log");
    const most = 4 * 1024 * 1024;
    // No file may outgrow that: the log has room for 100 bytes more, the data for all it needs.
    writeFileSync(log, "");
    truncateSync(log, most - 100);
    const shell = `trap "" XFSZ; exec prlimit --fsize=${most} "$0" serve --bootstrap --port 0 --log-level error >>log`;
    const child = Bun.spawn(["/bin/sh", "-c", shell, BINARY], { cwd: dir, stderr: "pipe" });
    atEnd(() => child.kill("SIGKILL"));
    const stderr = await new Response(child.stderr).text();
    expect({ code: await child.exited, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^armorhooks: the first API key cannot be printed .*EFBIG/),
    });
    expect(statSync(log).size).toBe(most);
    const daemon = await startBinary({ dir });
    expect(daemon.key).toMatch(/^ia_sk_/);
  });
});

describe("SIGHUP", () => {
  test("drains as SIGTERM does, and a second one cuts nothing short", async () => {
    const receiver = receive(async () => {
      await Bun.sleep(500);
      return new Response();
    });
    const daemon = await startBinary();
    await register(daemon, receiver.url);
    const scanner = await connectScanner(daemon.socket);
    await scanner.send(scan());
    await until("the request is there", () => receiver.received.length === 1);
    process.kill(daemon.pid, "SIGHUP");
    await untilLogged(daemon, "stopping");
    expect(await daemon.stop("SIGHUP")).toBe(0);
    expect(existsSync(daemon.socket)).toBe(false);
    expect(linesOf(daemon, "stopping")[0]).toMatchObject({ signal: "SIGHUP" });
    expect(linesOf(daemon, "delivery finished")).toHaveLength(1);
  });

  test("is not heeded by a daemon that was started with nohup", async () => {
    const daemon = await startBinary({ through: ["nohup"] });
    process.kill(daemon.pid, "SIGHUP");
    await Bun.sleep(100);
    expect((await daemon.api("GET", "/health")).status).toBe(200);
    expect(await daemon.stop()).toBe(0);
  });
});

describe("SIGINT", () => {
  /** A daemon with one request in flight that takes so long. */
  async function busyDaemon(milliseconds: number) {
    const receiver = receive(async () => {
      await Bun.sleep(milliseconds);
      return new Response();
    });
    const daemon = await startBinary();
    await register(daemon, receiver.url);
    const scanner = await connectScanner(daemon.socket);
    await scanner.send(scan());
    await until("the request is there", () => receiver.received.length === 1);
    return daemon;
  }

  test("that comes twice, as to a group and from its parent, is one Ctrl-C and drains", async () => {
    const daemon = await busyDaemon(1_500);
    process.kill(daemon.pid, "SIGINT");
    await Bun.sleep(50);
    expect(await daemon.stop("SIGINT")).toBe(0);
    expect(linesOf(daemon, "delivery finished")).toHaveLength(1);
    expect(linesOf(daemon, "stopping")).toMatchObject([{ signal: "SIGINT" }]);
    expect(daemon.log.filter(({ level }) => level === "warn")).toEqual([]);
  });

  test("a later second signal cuts the drain short, and the log says so", async () => {
    const daemon = await busyDaemon(6_000);
    process.kill(daemon.pid, "SIGINT");
    await Bun.sleep(1_200);
    const began = performance.now();
    expect(await daemon.stop("SIGTERM")).toBe(0);
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(daemon.log.filter(({ level }) => level === "warn")).toMatchObject([
      { msg: "a second signal cuts the drain short", signal: "SIGTERM" },
      { msg: "stopped before everything in flight had ended; those attempts will be repeated" },
    ]);
  });
});

describe("what is around it", () => {
  test(".env and bunfig.toml in the working directory are not read", async () => {
    const dir = emptyDir();
    const mark = join(dir, "mark");
    writeFileSync(join(dir, ".env"), "ARMORHOOKS_PAUSED=true\nARMORHOOKS_LOG_LEVEL=silent\n");
    writeFileSync(join(dir, "bunfig.toml"), 'preload = ["./preload.ts"]\n');
    writeFileSync(
      join(dir, "preload.ts"),
      `require("node:fs").writeFileSync(${JSON.stringify(mark)}, "read");`,
    );
    writeFileSync(join(dir, "tsconfig.json"), "{ this is no JSON");
    writeFileSync(join(dir, "package.json"), "nor this");
    const daemon = await startBinary({ dir });
    expect(linesOf(daemon, "ready")).toMatchObject([{ paused: false }]);
    expect(linesOf(daemon, "bootstrapped: this API key is shown once, store it now")).toHaveLength(1);
    const scanner = await connectScanner(daemon.socket);
    await scanner.send(scan());
    scanner.close();
    await untilLogged(daemon, "event received");
    expect(existsSync(mark)).toBe(false);
  });

  test("options come from the environment too, a flag wins, and an empty variable is none", async () => {
    const env = { ARMORHOOKS_PAUSED: "true", ARMORHOOKS_SOCKET_MODE: "0600", ARMORHOOKS_HOST: "" };
    const daemon = await startBinary({ env, args: ["--socket-mode", "0666"] });
    expect(linesOf(daemon, "ready")).toMatchObject([{ paused: true }]);
    expect(lstatSync(daemon.socket).mode & 0o777).toBe(0o666);
    expect(new URL(daemon.url).hostname).toBe("127.0.0.1");
  });
});

describe("a bad option", () => {
  const cases: [args: string[], says: RegExp][] = [
    [["--port", "65536"], /--port.*from 0 to 65535/],
    [["--port", "80x"], /--port/],
    [["--host", "999.1.1.1"], /--host.*an address/],
    [["--host", "http://127.0.0.1"], /--host.*or a host name/],
    [["--proxy", "http://proxy.test"], /--proxy.*the proxy's port/],
    [["--retry-attempts", "0"], /--retry-attempts/],
    [["--retry-factor", "NaN"], /--retry-factor/],
    [["--request-timeout", "10"], /--request-timeout.*duration/],
    [["--retry-min-delay", "-5s"], /--retry-min-delay/],
    [["--retry-min-delay", "2h", "--retry-max-delay", "1h"], /--retry-min-delay.*--retry-max-delay/],
    [["--retention", "0s"], /--retention/],
    [["--socket-mode", "9999"], /--socket-mode/],
    [["--socket", `/tmp/${"long/".repeat(40)}s`], /socket path .* longer/],
    [["--data-dir", ""], /--data-dir/],
    [["--allow-networks", "10.0.0.0/33"], /--allow-networks/],
    [["--allow-networks", "everything"], /--allow-networks/],
    [["--ca-file", "/does/not/exist"], /--ca-file/],
    [["--paused", "maybe"], /--paused/],
    [["--log-level", "loud"], /--log-level/],
    [["--colour"], /unknown option '--colour'/],
    [["surplus"], /too many arguments/],
  ];
  for (const [args, says] of cases) {
    const shown = args.join(" ").slice(0, 60);
    test(`is refused at once: serve ${shown}`, async () => {
      const dir = emptyDir();
      expectRefusal(await command(["serve", ...args], { cwd: dir }), 2, says);
      expect(existsSync(join(dir, "data"))).toBe(false);
    });
  }

  test("in the environment is refused alike, and the variable is named", async () => {
    const result = await command(["serve"], { cwd: emptyDir(), env: { ARMORHOOKS_CONCURRENCY: "many" } });
    expectRefusal(result, 2, /ARMORHOOKS_CONCURRENCY/);
  });

  test("of the other commands is refused alike", async () => {
    const cwd = emptyDir();
    expectRefusal(await command(["org", "create"], { cwd }), 2, /--name/);
    expectRefusal(await command(["org", "create", "--name", "a", "--plan", "gold"], { cwd }), 2, /--plan/);
    expectRefusal(
      await command(["key", "create", "--org", "x", "--rate-limit", "0"], { cwd }),
      2,
      /--rate-limit/,
    );
    expectRefusal(await command(["key", "create", "--org", "x"], { cwd }), 1, /no organization/);
    expectRefusal(await command(["frobnicate"], { cwd }), 2, /unknown command/);
  });
});

describe("what the command line changes", () => {
  test("a revoked key and a changed plan hold within a second in the running daemon", async () => {
    const daemon = await startBinary();
    const { organizationId: org } = daemon;
    const { key, raw_key } = await commandJson(daemon.dir, "key", "create", "--org", org);
    const webhook = await register(daemon, receive().url);
    const ask = (rawKey: string) => request(daemon.url, rawKey, "GET", "/v1/webhooks");
    const scanner = await connectScanner(daemon.socket);
    atEnd(() => scanner.close());
    const deliveries = async () => (await scanner.send(scan()))[0]?.deliveries;
    expect((await ask(raw_key)).status).toBe(200);
    expect(await deliveries()).toBe(1);

    await commandJson(daemon.dir, "key", "revoke", key.id);
    await until("the key is refused", async () => (await ask(raw_key)).status === 401, 1_000);

    await commandJson(daemon.dir, "org", "update", org, "--plan", "pro");
    await until("events go to nobody", async () => (await deliveries()) === 0, 1_000);
    const refused = await daemon.api("GET", "/v1/webhooks");
    expect(refused.status).toBe(403);
    expect(refused.body.error).toMatchObject({ code: "FEATURE_NOT_AVAILABLE" });
    expect(refused.body.error.message).toMatch(/webhookAlerts.*pro/);

    await commandJson(daemon.dir, "org", "update", org, "--plan", "enterprise");
    await until("events go out again", async () => (await deliveries()) === 1, 1_000);
    expect((await deliveriesOf(daemon, webhook.id)).length).toBeGreaterThan(1);
  });

  test("an organization made beside the running daemon can send at once", async () => {
    const daemon = await startBinary();
    const { organization } = await commandJson(daemon.dir, "org", "create", "--name", "second");
    const scanner = await connectScanner(daemon.socket);
    atEnd(() => scanner.close());
    const acks = await scanner.send(scan({ organization_id: organization.id }));
    expect(acks[0]).toMatchObject({ ok: true, deliveries: 0 });
    // Two by now: an event must say whose it is.
    await until("the organization must be named", async () => !(await scanner.send(scan()))[0]?.ok, 1_000);
    expect(scanner.acks.at(-1)?.error?.message).toMatch(/organization_id is required/);
  });
});

describe("--paused", () => {
  test("takes and acks but makes no attempts; the next start delivers", async () => {
    const receiver = receive();
    const paused = await startBinary({ args: ["--paused"] });
    const webhook = await register(paused, receiver.url);
    const scanner = await connectScanner(paused.socket);
    const acks = await scanner.send(...Array.from({ length: 300 }, () => scan()));
    expect(acks.every(({ ok, deliveries }) => ok && deliveries === 1)).toBe(true);
    scanner.close();
    await Bun.sleep(300);
    expect(receiver.received).toHaveLength(0);
    expect(await deliveriesOf(paused, webhook.id)).toMatchObject(
      Array.from({ length: 100 }, () => ({ status: "pending", attempt_count: 0 })),
    );
    expect(await paused.stop()).toBe(0);
    expect(receiver.received).toHaveLength(0);

    const running = await startAgain(paused);
    await untilLogged(running, "delivery finished", 300);
    const arrived = receiver.received.map(({ headers }) => headers["webhook-id"]);
    expect(arrived.toSorted()).toEqual(acks.map(({ id }) => id).toSorted());
  });
});

test("the arguments that let it reach loopback are the only reason why it does", async () => {
  const dir = emptyDir();
  const receiver = receive();
  const open = await startBinary({ dir });
  const webhook = await register(open, receiver.url);
  await open.stop();
  const closed = await startAgain(open, {
    args: LOOPBACK.map((arg) => (arg.includes("/") ? "10.0.0.0/8" : arg)),
  });
  const { body } = await closed.api("POST", `/v1/webhooks/${webhook.id}/test`);
  expect(body).toEqual({ success: false, error: "Target address is not allowed" });
  expect(receiver.received).toHaveLength(0);
});

test("the runtime's compiler steps back behind deliveries, and nothing else does", async () => {
  const daemon = await startBinary();
  const scanner = await connectScanner(daemon.socket);
  atEnd(() => scanner.close());
  const nicenessOf = (compiler: boolean) =>
    threadsOf(daemon.pid)
      .filter(({ name }) => (name === "JITWorker") === compiler)
      .map(({ niceness }) => niceness);
  await until("a compiler thread has stepped back", async () => {
    await scanner.send(...Array.from({ length: 200 }, () => scan()));
    return nicenessOf(true).includes(10);
  });
  expect(new Set(nicenessOf(false))).toEqual(new Set([getPriority()]));
});

describe("the write-ahead log", () => {
  test("is copied by the binary's own thread before SQLite would stop for it", async () => {
    const daemon = await startBinary();
    const scanner = await connectScanner(daemon.socket);
    const signal = { domain: "pii", type: "x".repeat(400), confidence: 0.98, weight: 50 };
    const line = scan({ signals: Array(90).fill(signal) });
    for (let n = 0; n < 30; n += 1) {
      for (const ack of await scanner.send(...Array(60).fill(line))) expect(ack).toMatchObject({ ok: true });
      // Under load it would wait longer.
      await Bun.sleep(40);
    }
    scanner.close();
    // 72 MB went through it.
    expect(statSync(join(daemon.dataDir, "armorhooks.db-wal")).size).toBeLessThan(60_000_000);
    expect(await daemon.stop("SIGTERM")).toBe(0);
    expect(existsSync(join(daemon.dataDir, "armorhooks.db-wal"))).toBe(false);
  }, 30_000);
});
