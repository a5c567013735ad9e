import { afterEach, expect, test } from "bun:test";
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type Ack, BINARY, program, scan } from "../support/daemon.ts";
import { atEnd, cleanUp, command, emptyDir, startBinary } from "../support/e2e.ts";

afterEach(cleanUp);

const LINE = JSON.stringify(scan());

/** Runs a command line in a shell, which says the exit code of its `send`; what that reads comes line by line and has no end. */
async function shell(cwd: string, line: string, input: readonly string[] = []) {
  const [args, into = ""] = line.split(/(?= [|>])/);
  const script = `{ '${program(true).join("' '")}' ${args}; echo "exit $?" >&2; } ${into}`;
  const child = Bun.spawn(["sh", "-c", script], { cwd, stdin: "pipe", stdout: "pipe", stderr: "pipe" });
  atEnd(() => child.kill("SIGKILL"));
  const ends = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  for (const text of input) {
    child.stdin.write(`${text}\n`);
    await child.stdin.flush();
    await Bun.sleep(200);
  }
  const [stdout, stderr] = await ends;
  return { stdout, stderr };
}

function acksOf(stdout: string): Ack[] {
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Ack);
}

test("sends a file of 100,000 lines, prints every ack and a summary, and exits 0", async () => {
  const daemon = await startBinary({ args: ["--log-level", "warn"] });
  const lines = Array.from({ length: 100_000 }, (_, i) => JSON.stringify(scan({ id: `scan-${i}` })));
  writeFileSync(join(daemon.dir, "events.ndjson"), `${lines.join("\n")}\n`);
  const { code, stdout, stderr } = await command(["send", "events.ndjson"], { cwd: daemon.dir });
  expect(code).toBe(0);
  expect(stderr).toMatch(/^100000 answered, 0 refused, 0 unanswered, in \d+\.\d s \(\d+\/s\)\n$/);
  const acks = acksOf(stdout);
  expect(acks.every(({ ok, duplicate }) => ok && !duplicate)).toBe(true);
  expect(new Set(acks.map(({ id }) => id)).size).toBe(100_000);

  // The acks came in the order of the lines: the same lines again get the same ids.
  const again = await command(["send", "events.ndjson"], { cwd: daemon.dir });
  expect(again.code).toBe(0);
  expect(acksOf(again.stdout)).toEqual(acks.map((ack) => ({ ...ack, duplicate: true })));
}, 30_000);

test("draws a bar on a terminal while the acks go to a file", async () => {
  const { dir } = await startBinary({ args: ["--log-level", "warn"] });
  writeFileSync(join(dir, "events.ndjson"), `${LINE}\n`.repeat(60_000));
  const typed = `'${program(true).join("' '")}' send events.ndjson > acks.ndjson`;
  const terminal = Bun.spawnSync(["script", "--quiet", "--return", "--command", typed, "/dev/null"], {
    cwd: dir,
  });
  expect(terminal.exitCode).toBe(0);
  const shares = [...terminal.stdout.toString().matchAll(/(█*)(░*) \d+ answered, \d+ waiting/g)];
  const filled = shares.map(([, full]) => full?.length ?? 0);
  expect(filled.length).toBeGreaterThan(0);
  expect(shares.every(([, full, empty]) => `${full}${empty}`.length === 24)).toBe(true);
  expect(filled).toEqual(filled.toSorted((a, b) => a - b));
  expect(filled[0]).toBeLessThan(24);
  expect(readFileSync(join(dir, "acks.ndjson"), "utf8").split("\n")).toHaveLength(60_001);
}, 15_000);

test("holds up what is sent for a slow reader, who gets every ack", async () => {
  const { dir } = await startBinary({ args: ["--log-level", "warn"] });
  writeFileSync(join(dir, "events.ndjson"), `${LINE}\n`.repeat(20_000));
  const { stdout, stderr } = await shell(dir, "send events.ndjson | { sleep 2; wc -l; }");
  expect(stdout.trim()).toBe("20000");
  expect(stderr).toMatch(/^20000 answered, 0 refused, 0 unanswered, in .*\nexit 0\n$/);
}, 15_000);

test("ends quietly with its reader, also while it waits for input", async () => {
  const { dir } = await startBinary({ args: ["--log-level", "warn"] });
  writeFileSync(join(dir, "events.ndjson"), `${LINE}\n`.repeat(20_000));
  const file = await shell(dir, "send events.ndjson | head -1");
  expect(acksOf(file.stdout)).toMatchObject([{ ok: true }]);
  expect(file.stderr).toBe("exit 1\n");
  const began = performance.now();
  // Its standard input stays open.
  const waiting = await shell(dir, "send | head -1", [LINE, LINE, LINE]);
  expect(acksOf(waiting.stdout)).toMatchObject([{ ok: true }]);
  expect(waiting.stderr).toBe("exit 1\n");
  expect(performance.now() - began).toBeLessThan(10_000);
}, 20_000);

test("says which lines to send again when the acks cannot be written", async () => {
  const { dir } = await startBinary();
  const { stderr } = await shell(dir, "send >/dev/full", [LINE]);
  expect(stderr).toMatch(
    /^armorhooks: cannot write to standard output: ENOSPC: .*; 0 acks were printed: send the lines after those again .*\nexit 1\n$/,
  );
});

test("skips a byte order mark before the first line", async () => {
  const { dir } = await startBinary();
  writeFileSync(join(dir, "marked"), `\uFEFF${JSON.stringify(scan())}\n`);
  writeFileSync(join(dir, "only"), "\uFEFF\n");
  expect(await command(["send", "marked"], { cwd: dir })).toMatchObject({ code: 0 });
  expect(await command(["send", "only"], { cwd: dir })).toMatchObject({ code: 0, stdout: "" });
});

test("reads standard input, with or without a last newline, and leaves blank lines out", async () => {
  const { dir } = await startBinary();
  const results = await Promise.all([
    command(["send"], { cwd: dir, input: `${LINE}\n\n${LINE}` }),
    command(["send", "-"], { cwd: dir, input: `${LINE}\n${LINE}\n` }),
    command(["send"], { cwd: dir, input: "" }),
  ]);
  expect(results.map(({ code }) => code)).toEqual([0, 0, 0]);
  expect(results.map(({ stderr }) => stderr.split(",")[0])).toEqual([
    "2 answered",
    "2 answered",
    "0 answered",
  ]);
});

test("exits 1 when any line was refused, and the others are taken all the same", async () => {
  const { dir } = await startBinary();
  const input = [LINE, '{"tier":"purple"}', "no JSON", `"${"x".repeat(300_000)}"`, LINE].join("\n");
  const { code, stdout, stderr } = await command(["send"], { cwd: dir, input });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^5 answered, 3 refused, 0 unanswered/);
  expect(acksOf(stdout).map(({ ok, error }) => error?.code ?? ok)).toEqual([
    true,
    "VALIDATION_ERROR",
    "VALIDATION_ERROR",
    "PAYLOAD_TOO_LARGE",
    true,
  ]);
});

test("exits 3 and says what to do when no daemon is at the socket", async () => {
  const dir = emptyDir();
  const absent = await command(["send"], { cwd: dir, input: LINE });
  expect(absent).toMatchObject({ code: 3, stdout: "" });
  expect(absent.stderr).toMatch(/^armorhooks: no daemon answers at .*events\.sock; start one with .*\n$/);

  const daemon = await startBinary();
  await daemon.stop("SIGKILL");
  const left = await command(["send", "--socket", daemon.socket], { cwd: dir, input: LINE });
  expect(left).toMatchObject({ code: 3, stdout: "" });
});

test.skipIf(process.getuid?.() !== 0)(
  "a socket that may not be opened is none that nobody answers at",
  async () => {
    const { socket, dir } = await startBinary();
    chmodSync(socket, 0o600);
    chmodSync(dir, 0o755);
    chmodSync(join(dir, "data"), 0o755);
    const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    const copy = join(dir, "armorhooks");
    copyFileSync(BINARY, copy);
    const send = () =>
      Bun.spawnSync([...nobody, copy, "send", "--socket", socket], { cwd: dir, stdin: Buffer.from(LINE) });
    const closedSocket = send();
    chmodSync(join(dir, "data"), 0o700);
    for (const { exitCode, stdout, stderr } of [closedSocket, send()]) {
      expect([exitCode, stdout.toString()]).toEqual([3, ""]);
      expect(stderr.toString()).toMatch(
        /^armorhooks: may not open the socket .*sock \(EACCES\); run as a user who may, .*\n$/,
      );
    }
  },
);

test("what is no socket is called that, and one below a file too", async () => {
  const dir = emptyDir();
  writeFileSync(join(dir, "file"), "");
  const ends = [];
  for (const path of ["file", "file/x"])
    ends.push(await command(["send", "--socket", path], { cwd: dir, input: LINE }));
  expect(ends.map(({ code }) => code)).toEqual([3, 3]);
  expect(ends.map(({ stderr }) => stderr)).toEqual([
    expect.stringMatching(/file is not a socket; name/),
    expect.stringMatching(/file\/x is below what is not a directory; name/),
  ]);
});

test("a directory as standard input is refused as one that is named", async () => {
  const dir = emptyDir();
  const { stderr } = await shell(dir, "send <.");
  expect(stderr).toBe("armorhooks: cannot read standard input: it is a directory\nexit 2\n");
});

/** A socket in a new directory whose listener treats each connection in this way. */
function listen(serve: (socket: Socket) => void): { dir: string; path: string } {
  const dir = emptyDir();
  const path = join(dir, "fake.sock");
  const server = createServer(serve).listen(path);
  atEnd(() => server.close());
  return { dir, path };
}

const ACK = '{"ok":true,"id":"1","deliveries":0}\n';

test("exits 3 and counts the unanswered when the daemon goes away in the middle", async () => {
  const { dir, path } = listen((socket) => socket.once("data", () => socket.end(ACK)));
  const input = `${LINE}\n`.repeat(20_000);
  const { code, stderr } = await command(["send", "--socket", path], { cwd: dir, input });
  expect(code).toBe(3);
  expect(stderr).toMatch(/^1 answered, 0 refused, [1-9]\d* unanswered/);
  expect(stderr).toMatch(/send all after the first 1 again/);
});

test("exits 3 when the daemon goes away after the input has ended", async () => {
  const { dir, path } = listen((socket) => {
    socket.once("data", () => setTimeout(() => socket.end(ACK), 300));
  });
  const { code, stderr } = await command(["send", "--socket", path], { cwd: dir, input: `${LINE}\n${LINE}` });
  expect([code, stderr.split("\n")[1]]).toEqual([
    3,
    "armorhooks: the daemon closed the connection: 1 lines were not answered; send all after the first 1 again (with an id, repeats are recognised)",
  ]);
});

test("exits 3 when all lines so far are answered and the daemon goes away before the next ones", async () => {
  const { dir, path } = listen((socket) => {
    socket.once("data", () => {
      socket.write(ACK);
      setTimeout(() => socket.end(), 300);
    });
  });
  const sender = `'${program(true).join("' '")}' send --socket '${path}'`;
  const script = `{ echo "$LINE"; sleep 1; echo "$LINE"; echo "$LINE"; } 2>/dev/null | ${sender}`;
  const env = { ...process.env, LINE };
  const child = Bun.spawn(["sh", "-c", script], { cwd: dir, env, stdout: "ignore", stderr: "pipe" });
  const stderr = await new Response(child.stderr).text();
  expect([await child.exited, stderr]).toEqual([
    3,
    expect.stringMatching(
      /^1 answered, .*\narmorhooks: the daemon closed .* before the input ended: 0 lines/,
    ),
  ]);

  // Its standard input stays open, and idle.
  const began = performance.now();
  const idle = await shell(dir, "send --socket fake.sock", [LINE]);
  expect(idle.stderr).toMatch(/^1 answered, .*\narmorhooks: the daemon closed .*\nexit 3\n$/);
  expect(performance.now() - began).toBeLessThan(4_000);
}, 10_000);

test("counts what was read and not sent when the daemon goes away", async () => {
  const { dir, path } = listen((socket) => {
    let lines = 0;
    socket.on("data", (bytes) => {
      lines += bytes.toString().split("\n").length - 1;
      // So many may be in flight; nothing is answered.
      if (lines === 4_096) socket.end();
    });
  });
  writeFileSync(join(dir, "events.ndjson"), "{}\n".repeat(6_000));
  const { code, stderr } = await command(["send", "events.ndjson", "--socket", path], { cwd: dir });
  expect(code).toBe(3);
  expect(stderr).toMatch(
    /: 4096 lines were not answered, 1904 that were read were not sent; send all after the first 0 /,
  );
});

test("a file that cannot be read is a bad option: exit code 2 and one line", async () => {
  const { dir } = await startBinary();
  for (const file of ["absent.ndjson", "data"]) {
    const { code, stderr } = await command(["send", file], { cwd: dir });
    expect([file, code]).toEqual([file, 2]);
    expect(stderr).toMatch(/^armorhooks: cannot read \S+: .*\n$/);
  }
});
