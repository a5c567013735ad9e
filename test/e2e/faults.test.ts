import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, statSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { connectScanner, type RunningDaemon, type Scanner, scan, until } from "../support/daemon.ts";
import {
  atEnd,
  cleanUp,
  command,
  commandJson,
  emptyDir,
  linesOf,
  receive,
  register,
  startAgain,
  startBinary,
  untilLogged,
  verify,
} from "../support/e2e.ts";
import { FAULTS, makeReadOnly } from "../support/faults.ts";

afterEach(cleanUp);

async function healthOf({ url }: RunningDaemon): Promise<number> {
  return (await fetch(`${url}/health`)).status;
}

/** Sends until the daemon cannot store; answers the ids of what it could. */
async function sendUntilRefused(scanner: Scanner): Promise<string[]> {
  const acked: string[] = [];
  for (;;) {
    const acks = await scanner.send(...Array.from({ length: 50 }, () => scan()));
    for (const { ok, id, error } of acks) {
      if (ok) acked.push(id as string);
      else expect(error?.code).toBe("UNAVAILABLE");
    }
    if (acks.some(({ ok }) => !ok)) return acked;
  }
}

for (const fault of FAULTS) {
  /** A daemon with acked events, some of them under way, at the moment at which the fault begins. */
  const strike = async (args: string[] = []) => {
    const dir = emptyDir();
    fault.prepare(join(dir, "data"));
    let pause = 0;
    const receiver = receive(async () => {
      await Bun.sleep(pause);
      return new Response();
    });
    const daemon = await startBinary({ dir, args });
    const webhook = await register(daemon, receiver.url);
    const scanner = await connectScanner(daemon.socket);
    atEnd(() => scanner.close());
    const first = await scanner.send(...Array.from({ length: 40 }, () => scan()));
    await untilLogged(daemon, "delivery finished", 40);
    pause = 250;
    const second = await scanner.send(...Array.from({ length: 60 }, () => scan()));
    await until("requests are under way", () => receiver.received.length > 50);
    fault.inject(daemon);
    const acked = [...first, ...second].map(({ id }) => id as string);
    acked.push(...(await sendUntilRefused(scanner)));
    return { daemon, webhook, scanner, receiver, acked };
  };

  const idsOf = (receiver: ReturnType<typeof receive>) =>
    receiver.received.map(({ headers }) => headers["webhook-id"] as string);

  describe(fault.name, () => {
    test("lines are answered UNAVAILABLE and health says 503; it heals without a restart, loses and repeats nothing", async () => {
      const { daemon, webhook, scanner, receiver, acked } = await strike();
      await until("health is 503", async () => (await healthOf(daemon)) === 503, 2_000);
      const { status, body, headers } = await daemon.api("POST", "/v1/webhooks", { url: receiver.url });
      expect([status, body.error.code, headers.get("retry-after")]).toEqual([503, "UNAVAILABLE", "5"]);
      const health = await fetch(`${daemon.url}/health`);
      expect(health.headers.get("retry-after")).toBe("5");
      expect(await health.json()).toMatchObject({
        status: "unavailable",
        error: { code: "UNAVAILABLE", request_id: health.headers.get("x-request-id") },
      });
      expect((await daemon.api("GET", "/v1/webhooks")).body.webhooks).toHaveLength(1);
      // Long enough for the answers of what was under way, and for what must not begin now.
      await Bun.sleep(600);
      const during = receiver.received.length;
      await Bun.sleep(400);
      expect(receiver.received.length).toBe(during);
      expect(during).toBeLessThan(acked.length);

      fault.heal(daemon);
      await until("health is 200", async () => (await healthOf(daemon)) === 200, 2_000);
      const [after] = await scanner.send(scan());
      expect(after?.ok).toBe(true);
      acked.push(after?.id as string);
      await untilLogged(daemon, "delivery finished", acked.length);
      expect(idsOf(receiver).toSorted()).toEqual(acked.toSorted());
      for (const request of receiver.received) verify(webhook, request);
      expect(linesOf(daemon, "store cannot write").length).toBeGreaterThan(0);
      expect(linesOf(daemon, "store can write again").length).toBeGreaterThan(0);
      expect(await daemon.stop()).toBe(0);
    }, 15_000);

    test("SIGTERM ends the daemon in time, and the next one delivers what was acked", async () => {
      const { daemon, receiver, acked } = await strike(["--shutdown-timeout", "500ms"]);
      const began = performance.now();
      expect(await daemon.stop()).toBe(0);
      expect(performance.now() - began).toBeLessThan(2_500);
      fault.heal(daemon);
      const next = await startAgain(daemon);
      await until("all have arrived", () => new Set(idsOf(receiver)).size === acked.length);
      await untilLogged(next, "delivery finished");
      expect(new Set(idsOf(receiver))).toEqual(new Set(acked));
    }, 15_000);

    if (fault.lasts) {
      test("a daemon that is killed and started in it comes up, refuses lines, and heals", async () => {
        const { daemon, receiver, acked } = await strike();
        await daemon.stop("SIGKILL");
        const next = await startAgain(daemon);
        const scanner = await connectScanner(next.socket);
        atEnd(() => scanner.close());
        acked.push(...(await sendUntilRefused(scanner)));
        await until("health is 503", async () => (await healthOf(next)) === 503, 2_000);
        fault.heal(next);
        await until("health is 200", async () => (await healthOf(next)) === 200, 2_000);
        await until("all have arrived", () => new Set(idsOf(receiver)).size === acked.length);
        expect(new Set(idsOf(receiver))).toEqual(new Set(acked));
      }, 15_000);
    }
  });
}

test("a database that another program locks is waited for, and a line is refused rather than lost", async () => {
  const receiver = receive();
  const daemon = await startBinary();
  await register(daemon, receiver.url);
  const scanner = await connectScanner(daemon.socket);
  atEnd(() => scanner.close());
  const other = new Database(join(daemon.dataDir, "armorhooks.db"));
  atEnd(() => other.close());
  other.exec("PRAGMA busy_timeout = 5000");

  other.exec("BEGIN IMMEDIATE");
  const short = scanner.send(scan());
  await Bun.sleep(300);
  expect(scanner.acks).toHaveLength(0);
  other.exec("ROLLBACK");
  expect(await short).toMatchObject([{ ok: true }]);

  other.exec("BEGIN IMMEDIATE");
  expect(await scanner.send(scan())).toMatchObject([{ ok: false, error: { code: "UNAVAILABLE" } }]);
  // Once the wait was in vain it is not repeated for each line: everything else would stand still.
  const began = performance.now();
  for (let i = 0; i < 5; i += 1) expect((await scanner.send(scan()))[0]?.ok).toBe(false);
  expect(await healthOf(daemon)).toBe(503);
  expect(performance.now() - began).toBeLessThan(1_500);
  other.exec("ROLLBACK");
  await until("health is 200", async () => (await healthOf(daemon)) === 200);
  expect(await scanner.send(scan())).toMatchObject([{ ok: true }]);
  await until("both have arrived", () => receiver.received.length === 2);
}, 15_000);

/** A database with some rows in every tree, closed. */
async function madeDatabase() {
  const daemon = await startBinary({ args: ["--paused"] });
  await register(daemon, receive().url);
  const scanner = await connectScanner(daemon.socket);
  await scanner.send(...Array.from({ length: 500 }, (_, i) => scan({ id: `scan-${i}` })));
  scanner.close();
  expect(await daemon.stop()).toBe(0);
  return { dir: daemon.dir, dataDir: daemon.dataDir, path: join(daemon.dataDir, "armorhooks.db") };
}

const PAGE = 4096;

/** The type byte of a b-tree page: interior or leaf, of a table or an index (SQLite file format, 1.6). */
const TREE_PAGES = new Set([2, 5, 10, 13]);

function overwrite(path: string, position: number, bytes: Uint8Array): void {
  const file = openSync(path, "r+");
  writeSync(file, bytes, 0, bytes.length, position);
  closeSync(file);
}

function middleTreePage(path: string): number {
  const bytes = readFileSync(path);
  let page = Math.floor(bytes.length / PAGE / 2);
  while (!TREE_PAGES.has(bytes[page * PAGE] as number)) page += 1;
  return page * PAGE;
}

const damages: Record<string, (path: string) => void> = {
  "its header is garbage": (path) => overwrite(path, 0, crypto.getRandomValues(new Uint8Array(100))),
  "it is a text file": (path) => writeFileSync(path, "these are my notes, not a database\n"),
  "a page in its middle is garbage": (path) =>
    overwrite(path, middleTreePage(path), crypto.getRandomValues(new Uint8Array(PAGE))),
  "a page in its middle is empty": (path) => overwrite(path, middleTreePage(path), new Uint8Array(PAGE)),
  "its second half is missing": (path) => truncateSync(path, statSync(path).size / 2),
};

/** Both `serve` and the other commands refuse with exit code 1 and one line, and change nothing. */
async function expectRefused({ dir, path }: { dir: string; path: string }, says: RegExp): Promise<void> {
  const before = readFileSync(path);
  for (const args of [
    ["serve", "--port", "0"],
    ["org", "list"],
    ["org", "create", "--name", "x"],
  ]) {
    const { code, stdout, stderr } = await command(args, { cwd: dir });
    expect([args[0], code, stdout]).toEqual([args[0], 1, ""]);
    expect(stderr).toMatch(says);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(before.equals(readFileSync(path))).toBe(true);
  }
}

describe("a database is refused and left as it is when", () => {
  for (const [what, damage] of Object.entries(damages)) {
    test(what, async () => {
      const made = await madeDatabase();
      damage(made.path);
      await expectRefused(
        made,
        /armorhooks\.db is damaged or not an armorhooks database; .*Restore a backup/,
      );
    });
  }

  test("it is another program's", async () => {
    const dir = emptyDir();
    await commandJson(dir, "org", "create", "--name", "x");
    const path = join(dir, "data/armorhooks.db");
    writeFileSync(path, "");
    const other = new Database(path);
    other.exec("CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')");
    other.close();
    await expectRefused({ dir, path }, /not an armorhooks database/);
  });

  test("a newer armorhooks has written it", async () => {
    const made = await madeDatabase();
    const newer = new Database(made.path);
    newer.exec("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('of the future', 9999999999999)");
    newer.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    newer.close();
    await expectRefused(made, /written by a newer version of armorhooks; install that version/);
  });

  test("it can only be read, and then it is not called damaged", async () => {
    const made = await madeDatabase();
    makeReadOnly(made.dataDir);
    await expectRefused(made, /cannot be opened; check its permissions|cannot lock data directory/);
  });
});

test("a database that was repaired by a backup of it starts again with all it had", async () => {
  const made = await madeDatabase();
  const backup = readFileSync(made.path);
  overwrite(made.path, 0, new Uint8Array(100));
  await expectRefused(made, /damaged/);
  writeFileSync(made.path, backup);
  const daemon = await startBinary({ dir: made.dir, args: ["--paused"] });
  const metrics = await fetch(`${daemon.url}/metrics`).then((answer) => answer.text());
  expect(metrics).toMatch(/^armorhooks_pending_deliveries 500$/m);
});
