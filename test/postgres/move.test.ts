import { Database } from "bun:sqlite";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { SQL } from "bun";
import { secretKeySource } from "../../src/secrets/key-file.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import { append, attempt, record } from "../store/conformance/deliveries.ts";
import { addOrganization, addWebhook } from "../store/conformance/harness.ts";
import { connectScanner, program, scan, until } from "../support/daemon.ts";
import {
  atEnd,
  cleanUp,
  command,
  deliveriesOf,
  emptyDir,
  receive,
  register,
  startBinary,
  verify,
} from "../support/e2e.ts";
import { type Cluster, hasPostgres, makeLatin, startCluster } from "../support/postgres.ts";
import type { Received } from "../support/receiver.ts";
import { start } from "../support/terminal.ts";

let cluster: Cluster;

const EVENTS = 15_000;
const PENDING = 2_000;

/** A data directory with three steps of each large table; the latest deliveries are pending, half of them tried. */
async function fill(dataDir: string, url: string): Promise<void> {
  const store = openSqliteStore({ dataDir, resident: true, secretKey: secretKeySource(dataDir, null) });
  const organizationId = await addOrganization(store);
  const { id: webhookId } = await addWebhook(store, organizationId, url);
  for (let at = 0; at < EVENTS; at += 1_000) {
    const input = { organizationId, webhookIds: [webhookId] };
    await append(
      store,
      ...Array.from({ length: 1_000 }, (_, i) => ({ ...input, externalId: `scan-${at + i}` })),
    );
    if (at >= EVENTS - PENDING / 2) continue;
    const claim = { webhookId, fresh: 1_000, again: 0, dueBy: store.clock.schedule() };
    const { fresh } = await store.deliveryQueue.claim({ ...claim, triedBefore: Number.POSITIVE_INFINITY });
    const first = { nextAttemptAt: store.clock.schedule(), keepsClaim: at < EVENTS - PENDING };
    await record(
      store,
      fresh.map((one) => attempt(store, one, "pending", first)),
    );
    if (first.keepsClaim)
      await record(
        store,
        fresh.map((one) => attempt(store, one, "delivered", { number: 2 })),
      );
  }
  await store.close();
}

/** How far a move into a database has come; null before its beginning. */
async function stateOf(
  sql: SQL,
): Promise<{ table: string; id: number; rows: number; isDone: boolean } | null> {
  try {
    const [row] = await sql.unsafe("SELECT value FROM meta WHERE key = 'move'");
    return row ? JSON.parse(row.value) : null;
  } catch {
    // No table is there yet.
    return null;
  }
}

/** What a person begins and somebody ends with SIGKILL, or waits for. */
function startMove(url: string, dataDir: string) {
  const args = ["move", "--to", url, "--data-dir", dataDir, "--json"];
  const child = Bun.spawn([...program(true), ...args], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  atEnd(() => child.kill("SIGKILL"));
  return child;
}

function connect(url: string): SQL {
  const sql = new SQL(url, { max: 1 });
  atEnd(() => sql.close({ timeout: 0 }).catch(() => {}));
  return sql;
}

/** Holds a table until it is told to let go. */
async function hold(url: string, table: string): Promise<() => Promise<void>> {
  const sql = connect(url);
  const held = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  const transaction = sql.begin(async (tx) => {
    await tx.unsafe(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    held.resolve();
    await over.promise;
  });
  await held.promise;
  return async () => {
    over.resolve();
    await transaction;
  };
}

const idOf = ({ headers }: Received): string => headers["webhook-id"] as string;

describe.if(hasPostgres())("armorhooks move", () => {
  beforeAll(async () => {
    cluster = await startCluster();
  }, 30_000);
  afterEach(cleanUp);
  afterAll(() => cluster.remove());

  test("takes everything there; what is pending goes on where it was, and nobody starts on the directory", async () => {
    const dir = emptyDir();
    const before = await startBinary({ dir, args: ["--retry-min-delay", "30s"] });
    const good = receive();
    let answer = 500;
    const failing = receive(() => new Response(null, { status: answer }));
    const first = await register(before, good.url);
    const second = await register(before, failing.url);
    const rotated = await before.api("POST", `/v1/webhooks/${second.id}/rotate-secret`, {});
    const scanner = await connectScanner(before.socket);
    const acks = await scanner.send(
      ...Array.from({ length: 30 }, (_, i) => scan({ id: `scan-${i}`, latency_ms: i })),
    );
    scanner.close();
    const isTried = async () =>
      (await deliveriesOf(before, second.id)).some(({ attempt_count }) => attempt_count > 0) &&
      (await deliveriesOf(before, first.id)).every(({ status }) => status === "delivered");
    await until("some have failed, and the others are delivered", isTried);
    const history = await deliveriesOf(before, first.id);
    expect(await before.stop()).toBe(0);

    const url = await cluster.database();
    const dataDir = join(dir, "data");
    const moved = await command(["move", "--to", url, "--data-dir", dataDir, "--json"], { cwd: dir });
    expect([moved.code, moved.stderr]).toEqual([0, ""]);
    expect(JSON.parse(moved.stdout)).toMatchObject({ webhooks: 2, events: 30, pending: 30, finished: 30 });
    const again = await command(["move", "--to", url, "--data-dir", dataDir], { cwd: dir });
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("moved")]);
    const mistaken = await command(["serve", "--port", "0", "--data-dir", dataDir], { cwd: dir });
    expect([mistaken.code, mistaken.stderr]).toEqual([
      1,
      expect.stringContaining("was moved to postgres://"),
    ]);

    answer = 200;
    failing.received.length = 0;
    const after = await startBinary({
      args: ["--database", url, "--secret-key-file", join(dataDir, "secret.key"), "--retry-min-delay", "30s"],
      key: before.key,
      organizationId: before.organizationId,
    });
    expect(await deliveriesOf(after, first.id)).toEqual(history);
    for (const { id } of await deliveriesOf(after, second.id))
      await after.api("POST", `/v1/deliveries/${id}/retry`);
    const ids = new Set(acks.map(({ id }) => id));
    await until(
      "what was pending arrives",
      () => new Set(failing.received.map(idOf)).size === ids.size,
      20_000,
    );
    expect(new Set(failing.received.map(idOf))).toEqual(ids as Set<string>);
    for (const request of failing.received) {
      // Both secrets of the rotation still count.
      verify(second, request);
      verify({ ...second, secret: rotated.body.webhook.secret }, request);
    }
    const scannerAfter = await connectScanner(after.socket);
    expect(await scannerAfter.send(scan({ id: "scan-3" }))).toMatchObject([
      { duplicate: true, id: acks[3]?.id },
    ]);
    scannerAfter.close();
    expect(good.received).toHaveLength(30);
  }, 60_000);

  test("cut short anywhere, it goes on where it was; until its end no daemon starts on either side", async () => {
    const dir = emptyDir();
    const dataDir = join(dir, "data");
    const receiver = receive();
    await fill(dataDir, receiver.url);
    const key = join(dataDir, "secret.key");
    const url = await cluster.database();
    let sql = connect(url);
    const refuses = async (...args: string[]) => {
      const { code, stderr } = await command(["serve", "--port", "0", ...args], { cwd: emptyDir() });
      expect([code, stderr.trim().split("\n")]).toEqual([1, [expect.stringContaining("move")]]);
      return stderr;
    };
    const bothRefuse = async () => {
      expect(await refuses("--data-dir", dataDir)).toContain(`is being moved to ${url}; run armorhooks move`);
      expect(await refuses("--database", url, "--secret-key-file", key)).toContain(
        "run armorhooks move again",
      );
    };
    const reached = async (table: string): Promise<boolean> => {
      const state = await stateOf(sql);
      return state?.table === table && state.id > 0;
    };
    for (const table of ["events", "deliveries"]) {
      const move = startMove(url, dataDir);
      await until(`${table} are on their way`, () => reached(table));
      move.kill("SIGKILL");
      await move.exited;
      expect((await stateOf(sql))?.table).toBe(table);
    }
    await bothRefuse();
    const withoutServer = startMove(url, dataDir);
    await until("attempts are on their way", () => reached("attempts"));
    await cluster.stop();
    expect(await withoutServer.exited).toBe(1);
    expect(await new Response(withoutServer.stderr).text()).toMatch(
      /^armorhooks: cannot move to postgres:.+; run it again to go on\n$/,
    );
    await cluster.start();
    sql = connect(url);
    expect(await reached("attempts")).toBe(true);
    const elsewhere = await command(["move", "--to", await cluster.database(), "--data-dir", dataDir]);
    expect([elsewhere.code, elsewhere.stderr]).toEqual([
      1,
      expect.stringContaining(`is being moved to ${url}`),
    ]);

    const letGo = await hold(url, "organizations");
    const counting = startMove(url, dataDir);
    await until("all has arrived", async () => (await stateOf(sql))?.table === "done");
    counting.kill("SIGKILL");
    await counting.exited;
    await letGo();
    expect(await stateOf(sql)).toMatchObject({ isDone: false, rows: EVENTS * 2 + EVENTS - PENDING });
    await bothRefuse();

    // The directory cannot be marked.
    const temporary = join(dataDir, "moved-to.tmp");
    mkdirSync(temporary);
    expect(await startMove(url, dataDir).exited).toBe(1);
    expect(await stateOf(sql)).toMatchObject({ isDone: true });
    expect(await refuses("--data-dir", dataDir)).toContain("is being moved to");
    rmSync(temporary, { recursive: true });
    const counts = await new Response(startMove(url, dataDir).stdout).json();
    expect(counts).toEqual({
      ...{ to: url, organizations: 1, keys: 0, webhooks: 1 },
      ...{ events: EVENTS, pending: PENDING, finished: EVENTS - PENDING },
    });
    expect(readFileSync(join(dataDir, "moved-to"), "utf8")).toBe(`${url}\n`);
    expect(await refuses("--data-dir", dataDir)).toContain("was moved to");

    const source = new Database(join(dataDir, "armorhooks.db"), { readonly: true });
    const here = (text: string) => source.query(text).all();
    const there = async (text: string) => [...(await sql.unsafe(text))].map((row) => ({ ...row }));
    expect(await there("SELECT id::float8 AS id, external_id FROM events ORDER BY id")).toEqual(
      here("SELECT id, external_id FROM events ORDER BY id"),
    );
    expect(
      await there(
        "SELECT id::float8 AS id, attempt_count AS n FROM (SELECT id, attempt_count FROM queue UNION ALL SELECT id, attempt_count FROM deliveries) d ORDER BY id",
      ),
    ).toEqual(here("SELECT id, attempt_count AS n FROM deliveries ORDER BY id"));
    const [made] = await there(
      "SELECT (SELECT count(*) FROM attempts)::int4 + (SELECT count(last_started_at) FROM deliveries)::int4 AS n",
    );
    expect(made).toEqual({ n: 2 * (EVENTS - PENDING) + PENDING / 2 });
    source.close();

    await startBinary({ args: ["--database", url, "--secret-key-file", key] });
    await until("what was pending arrives", () => receiver.received.length >= PENDING, 20_000);
    await Bun.sleep(300);
    expect(receiver.received).toHaveLength(PENDING);
    expect(new Set(receiver.received.map(idOf)).size).toBe(PENDING);
  }, 60_000);

  test("one that was given up leaves the directory as it was, and its database unused", async () => {
    const dir = emptyDir();
    const dataDir = join(dir, "data");
    const before = await startBinary({ dir });
    expect(await before.stop()).toBe(0);
    const url = await cluster.database();
    const move = (to: string) => command(["move", "--to", to, "--data-dir", dataDir]);
    // Whatever refuses it at once leaves no mark.
    const used = await cluster.database();
    await command(["org", "create", "--name", "theirs", "--database", used]);
    for (const to of [url.replace(/:\d+\//, ":1/"), used]) expect((await move(to)).code).toBe(1);
    const strange = await cluster.database();
    cluster.run(strange, "CREATE TABLE theirs (id int)");
    const latin = makeLatin(cluster);
    for (const to of [strange, latin]) {
      const refused = await move(to);
      // What a daemon would say there.
      const served = await command(["org", "list", "--database", to]);
      expect([refused.code, refused.stderr]).toEqual([1, served.stderr]);
    }
    const tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    expect(cluster.run(latin, tables)).toBe("0");
    expect(existsSync(join(dataDir, "moved-to"))).toBe(false);

    expect((await command(["org", "list", "--database", url])).code).toBe(0);
    const letGo = await hold(url, "api_keys");
    const begun = startMove(url, dataDir);
    const sql = connect(url);
    await until("it has begun", async () => (await stateOf(sql))?.table === "small");
    begun.kill("SIGKILL");
    await begun.exited;
    await letGo();
    rmSync(join(dataDir, "moved-to"));
    const daemon = await startBinary({ dir, key: before.key });
    expect((await daemon.api("GET", "/v1/webhooks")).status).toBe(200);
    expect(await daemon.stop()).toBe(0);
    const again = await move(url);
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("name an empty database")]);
    expect(existsSync(join(dataDir, "moved-to"))).toBe(false);

    const next = await cluster.database();
    expect((await command(["org", "list", "--database", next])).code).toBe(0);
    const letGoAgain = await hold(next, "events");
    const second = startMove(next, dataDir);
    const other = connect(next);
    await until("all but the counting is done", async () => (await stateOf(other))?.table === "done");
    second.kill("SIGKILL");
    await second.exited;
    await letGoAgain();
    await other.unsafe(
      "INSERT INTO organizations SELECT 99, 'x', 'more', plan, created_at FROM organizations",
    );
    const counted = await move(next);
    expect([counted.code, counted.stderr]).toEqual([
      1,
      expect.stringContaining("2 of 1 organizations have arrived"),
    ]);
    await other.unsafe("DELETE FROM organizations WHERE id = 99");
    const shown = start([...program(true), "move", "--to", next, "--data-dir", dataDir], {
      cwd: dir,
      terminal: true,
    });
    await shown.exited;
    expect(shown.output()).toMatch(/█ 100 % .+moved to postgres:.+, and counted there: 1 organizations/s);
    // The way back.
    rmSync(join(dataDir, "moved-to"));
    const back = await startBinary({ dir, key: before.key });
    expect((await back.api("GET", "/v1/webhooks")).status).toBe(200);
  }, 30_000);
});
