import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectScanner, newDir, type RunningDaemon, removeDir, scan, until } from "../support/daemon.ts";
import { atEnd, cleanUp } from "../support/e2e.ts";
import { allow, checkArrivals, startFleet, untilAllArrived } from "../support/fleet.ts";
import { asServer, type Cluster, freePort, hasPostgres, startCluster } from "../support/postgres.ts";
import { startSwallowingProxy } from "../support/swallowing-proxy.ts";

let cluster: Cluster;

const EVENTS = 1_500;
const PGBOUNCER = "/usr/sbin/pgbouncer";
/** The library itself, as the command that goes with it would be between the test and the daemon. */
const FAKETIME = [...new Bun.Glob("/usr/lib/*/faketime/libfaketime.so.1").scanSync("/")][0] ?? "none";

const isHealthy = async ({ url }: RunningDaemon): Promise<boolean> =>
  (await fetch(`${url}/health`)).status === 200;

/** Whether a test must be left out for want of a program, which is Debian's package of that name. */
function without(path: string, name: string): boolean {
  if (existsSync(path)) return false;
  if (process.env.CI) throw new Error(`these tests need Debian's package ${name}`);
  console.log(`skipped: ${name} is not installed (Debian: apt-get install ${name})`);
  return true;
}

/** A PgBouncer in transaction mode before the server; answers its port. */
async function startPgbouncer(port: number): Promise<number> {
  const dir = newDir();
  const listen = freePort();
  const file = join(dir, "pgbouncer.ini");
  writeFileSync(
    file,
    `[databases]\n* = host=127.0.0.1 port=${port} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${listen}\n` +
      "auth_type = any\npool_mode = transaction\nmax_client_conn = 200\ndefault_pool_size = 20\nunix_socket_dir =\n",
  );
  Bun.spawnSync(["chmod", "-R", "a+rX", dir]);
  const child = Bun.spawn(asServer([PGBOUNCER, "-q", file]), {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  atEnd(async () => {
    child.kill("SIGKILL");
    await child.exited;
    removeDir(dir);
  });
  await until("it listens", async () => {
    try {
      const socket = await Bun.connect({ hostname: "127.0.0.1", port: listen, socket: { data() {} } });
      socket.end();
      return true;
    } catch {
      // Not yet.
      return false;
    }
  });
  return listen;
}

describe.if(hasPostgres())("several daemons and a network between them and PostgreSQL", () => {
  beforeAll(async () => {
    cluster = await startCluster();
  }, 30_000);
  afterEach(cleanUp);
  afterAll(() => cluster.remove());

  test("cut off without a word, they say so within 5 s, and go on within 5 s of its return", async () => {
    const direct = await cluster.database();
    const proxy = await startSwallowingProxy(cluster.port);
    const url = direct.replace(`:${cluster.port}/`, `:${proxy.port}/`);
    const fleet = await startFleet({ url, daemons: 2, events: EVENTS, webhooks: 6 });
    allow(fleet, 0.5, EVENTS);
    await Bun.sleep(500);
    proxy.swallow();
    const cutAt = performance.now();
    const all = async (wanted: boolean) =>
      (await Promise.all(fleet.daemons.map(isHealthy))).every((one) => one === wanted);
    await until("they say so", () => all(false), 5_000);
    console.log(`noticed after ${Math.round(performance.now() - cutAt)} ms`);
    const [daemon] = fleet.daemons as [RunningDaemon];
    expect((await daemon.api("GET", "/v1/webhooks")).status).toBe(503);
    const scanner = await connectScanner(daemon.socket);
    expect(await scanner.send(scan({ id: "while-away" }))).toMatchObject([
      { ok: false, error: { code: "UNAVAILABLE" } },
    ]);
    scanner.close();
    // By now the leases have run out.
    await Bun.sleep(3_000);
    const sent = fleet.watched.reduce((sum, { receiver }) => sum + receiver.received.length, 0);
    await Bun.sleep(1_000);
    expect(fleet.watched.reduce((sum, { receiver }) => sum + receiver.received.length, 0)).toBe(sent);
    proxy.pass();
    const backAt = performance.now();
    await until("they are healthy again", () => all(true), 5_000);
    console.log(`healthy ${Math.round(performance.now() - backAt)} ms after its return`);
    allow(fleet, 1, EVENTS);
    await untilAllArrived(fleet, EVENTS);
    const { repeats } = checkArrivals(fleet);
    console.log(`${repeats} repeats`);
  }, 90_000);

  test.skipIf(without(PGBOUNCER, "pgbouncer"))(
    "through a pooler in transaction mode: nothing is lost, and shares are fair",
    async () => {
      const direct = await cluster.database();
      const port = await startPgbouncer(cluster.port);
      const url = `${direct.replace(`:${cluster.port}/`, `:${port}/`)}?pgbouncer=true`;
      const fleet = await startFleet({ url, daemons: 2, events: EVENTS, webhooks: 6 });
      allow(fleet, 0.5, EVENTS);
      const held = () =>
        cluster.run(
          direct,
          "SELECT string_agg(n::text, ' ') FROM (SELECT count(*) AS n FROM partitions GROUP BY owner) s",
        );
      await until("shares are fair", () => held() === "128 128", 10_000);
      allow(fleet, 1, EVENTS);
      await untilAllArrived(fleet, EVENTS);
      expect(checkArrivals(fleet).repeats).toBe(0);
    },
    90_000,
  );

  test.skipIf(without(FAKETIME, "faketime"))(
    "a daemon whose clock is a day off sends in time, and signs with the right one",
    async () => {
      const url = await cluster.database();
      const fleet = await startFleet({ url, daemons: 1, events: EVENTS, webhooks: 6 });
      const startAt = (offset: string) =>
        fleet.start(undefined, {
          env: { LD_PRELOAD: FAKETIME, FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: "1" },
        });
      for (const offset of ["+1d", "-1d"]) {
        const { log } = await startAt(offset);
        expect(Math.abs(Number(log.at(-1)?.time) - Date.now())).toBeGreaterThan(80_000_000);
      }
      const held = () =>
        cluster.run(
          url,
          "SELECT string_agg(n::text, ' ' ORDER BY n) FROM (SELECT count(*) AS n FROM partitions GROUP BY owner) s",
        );
      await until("shares are fair", () => held() === "84 86 86", 10_000);
      allow(fleet, 1, EVENTS);
      await untilAllArrived(fleet, EVENTS);
      expect(checkArrivals(fleet).repeats).toBe(0);
      const times = fleet.watched.flatMap(({ receiver }) =>
        receiver.received.map(({ headers }) => Number(headers["webhook-timestamp"])),
      );
      const off = times.map((time) => Math.abs(time - Date.now() / 1000));
      expect(Math.max(...off)).toBeLessThan(120);
    },
    90_000,
  );
});
