import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { MIGRATIONS } from "../../src/store/postgres/migrations.ts";
import { type RunningDaemon, until } from "../support/daemon.ts";
import { cleanUp } from "../support/e2e.ts";
import { allow, checkArrivals, type Fleet, startFleet, untilAllArrived } from "../support/fleet.ts";
import { type Cluster, hasPostgres, startCluster } from "../support/postgres.ts";

let cluster: Cluster;

/** A number that tiers and daemons divide. */
const EVENTS = 5_004;
const WEBHOOKS = 12;
const PARTITIONS = 256;

/** How many partitions each daemon that is alive holds. */
function shares(url: string): number[] {
  const rows = cluster.run(
    url,
    "SELECT count(p.id) FROM daemons d LEFT JOIN partitions p ON p.owner = d.id GROUP BY d.id ORDER BY 1",
  );
  return rows === "" ? [] : rows.split("\n").map(Number);
}

async function untilShared(url: string, daemons: number): Promise<void> {
  const share = Math.ceil(PARTITIONS / daemons);
  const isFair = (): boolean => {
    const held = shares(url);
    return (
      held.length === daemons &&
      held.every((n) => n <= share) &&
      held.reduce((sum, n) => sum + n, 0) === PARTITIONS
    );
  };
  await until(`${daemons} daemons have fair shares`, isFair, 12_000).catch((error) => {
    throw new Error(`${error.message}: ${shares(url)}`);
  });
}

function report(name: string, fleet: Fleet): ReturnType<typeof checkArrivals> {
  const tally = checkArrivals(fleet);
  console.log(
    `${name}: ${tally.repeats} repeats; lines sent again: ${tally.resent}, ${tally.duplicates} of them known`,
  );
  return tally;
}

describe.if(hasPostgres())("several daemons on one PostgreSQL", () => {
  beforeAll(async () => {
    cluster = await startCluster();
  }, 30_000);
  afterEach(cleanUp);
  afterAll(() => cluster.remove());

  test("kill -9 of each in turn loses nothing, and repeats at most what was in flight or not yet written", async () => {
    const fleet = await startFleet({
      url: await cluster.database(),
      daemons: 3,
      events: EVENTS,
      webhooks: WEBHOOKS,
    });
    await untilShared(fleet.url, 3);
    for (const i of [0, 1, 2]) {
      allow(fleet, (i + 1) / 4, EVENTS);
      await Bun.sleep(700);
      const killed = fleet.daemons[i] as RunningDaemon;
      const at = performance.now();
      await killed.stop("SIGKILL");
      await until(
        "the others have taken over",
        () => shares(fleet.url).length === 2 && shares(fleet.url).every((n) => n === 128),
        10_000,
      );
      console.log(`taken over after ${Math.round(performance.now() - at)} ms`);
      fleet.daemons[i] = await fleet.start(killed.dir);
      fleet.scanners[i]?.connect(fleet.daemons[i].socket);
      await Bun.sleep(100);
    }
    allow(fleet, 1, EVENTS);
    await untilAllArrived(fleet, EVENTS);
    const { repeats } = report("killed", fleet);
    // One request of each webhook can be in flight, and some results not yet written.
    expect(repeats).toBeLessThanOrEqual(3 * WEBHOOKS * 2);
    for (const daemon of fleet.daemons) expect(await daemon.stop()).toBe(0);
    expect(cluster.run(fleet.url, "SELECT count(*) FROM queue")).toBe("0");
    expect(cluster.run(fleet.url, "SELECT count(*), count(DISTINCT external_id) FROM events")).toBe(
      `${EVENTS}|${EVENTS}`,
    );
  }, 120_000);

  test("joining and leaving under load repeats nothing; each has its fair share within 10 s", async () => {
    const fleet = await startFleet({
      url: await cluster.database(),
      daemons: 2,
      events: EVENTS,
      webhooks: WEBHOOKS,
    });
    allow(fleet, 0.4, EVENTS);
    const third = await fleet.start();
    await untilShared(fleet.url, 3);
    allow(fleet, 0.7, EVENTS);
    await Bun.sleep(300);
    const at = performance.now();
    expect(await third.stop()).toBe(0);
    await untilShared(fleet.url, 2);
    console.log(`handed over ${Math.round(performance.now() - at)} ms after SIGTERM`);
    allow(fleet, 1, EVENTS);
    await untilAllArrived(fleet, EVENTS);
    expect(report("joined and left", fleet).repeats).toBe(0);
  }, 90_000);

  test("one that is stopped for 20 s sends and writes nothing that has become others'", async () => {
    const fleet = await startFleet({
      url: await cluster.database(),
      daemons: 3,
      events: EVENTS,
      webhooks: WEBHOOKS,
    });
    await untilShared(fleet.url, 3);
    allow(fleet, 0.5, EVENTS);
    await Bun.sleep(500);
    const { pid } = fleet.daemons[0] as RunningDaemon;
    process.kill(pid, "SIGSTOP");
    const at = performance.now();
    await until(
      "the others have taken over",
      () => shares(fleet.url).length === 2 && shares(fleet.url).every((n) => n === 128),
      10_000,
    );
    console.log(`taken over after ${Math.round(performance.now() - at)} ms`);
    await Bun.sleep(20_000 - (performance.now() - at));
    process.kill(pid, "SIGCONT");
    await untilShared(fleet.url, 3);
    allow(fleet, 1, EVENTS);
    await untilAllArrived(fleet, EVENTS);
    expect(report("stopped", fleet).repeats).toBeLessThanOrEqual(2 * WEBHOOKS);
  }, 120_000);

  test.each(["fast", "immediate"] as const)(
    "the server restarted (%s): all goes on within 5 s",
    async (mode) => {
      const fleet = await startFleet({
        url: await cluster.database(),
        daemons: 3,
        events: EVENTS,
        webhooks: WEBHOOKS,
      });
      allow(fleet, 0.5, EVENTS);
      await Bun.sleep(500);
      await cluster.stop(mode);
      await until(
        "they say so",
        async () => {
          const answers = await Promise.all(fleet.daemons.map(({ url }) => fetch(`${url}/health`)));
          return answers.every(({ status }) => status === 503);
        },
        6_000,
      );
      const [daemon] = fleet.daemons as [RunningDaemon];
      expect((await daemon.api("GET", "/v1/webhooks")).body.error.code).toBe("UNAVAILABLE");
      await Bun.sleep(1_000);
      await cluster.start();
      const at = performance.now();
      await until(
        "they are healthy again",
        async () => {
          const answers = await Promise.all(fleet.daemons.map(({ url }) => fetch(`${url}/health`)));
          return answers.every(({ status }) => status === 200);
        },
        5_000,
      );
      console.log(`healthy ${Math.round(performance.now() - at)} ms after the server's return`);
      allow(fleet, 1, EVENTS);
      await untilAllArrived(fleet, EVENTS);
      report(mode, fleet);
    },
    90_000,
  );

  test("what one daemon takes for the webhooks of another is sent at once", async () => {
    const fleet = await startFleet({ url: await cluster.database(), daemons: 3, events: 300, webhooks: 6 });
    await untilShared(fleet.url, 3);
    const at = performance.now();
    allow(fleet, 1, 300);
    // Well before anybody would look without having been told.
    await untilAllArrived(fleet, 300, 6_000);
    console.log(`through after ${Math.round(performance.now() - at)} ms`);
    expect(report("told", fleet).repeats).toBe(0);
  }, 30_000);

  test("six that start at once migrate once, and share what there is", async () => {
    const url = await cluster.database();
    const fleet = await startFleet({ url, daemons: 0, events: 0, webhooks: 0 });
    const six = await Promise.all(Array.from({ length: 6 }, () => fleet.start()));
    expect(six.filter(({ key }) => key !== "")).toHaveLength(1);
    expect(cluster.run(url, "SELECT count(*) FROM __drizzle_migrations")).toBe(String(MIGRATIONS.length));
    await untilShared(url, 6);
  }, 60_000);
});
