import { afterEach, describe, expect, test } from "bun:test";
import { type RunningDaemon, until } from "../support/daemon.ts";
import { atEnd, cleanUp } from "../support/e2e.ts";
import { allow, checkArrivals, startFleet, untilAllArrived } from "../support/fleet.ts";
import { hasPostgres, startCluster, startReplica } from "../support/postgres.ts";
import { startSwallowingProxy } from "../support/swallowing-proxy.ts";

const EVENTS = 1_200;

describe.if(hasPostgres())("a server that fails over to a replica", () => {
  afterEach(cleanUp);

  test("loses nothing that was acked, where commits wait for the replica", async () => {
    const first = await startCluster();
    atEnd(() => first.remove());
    const database = await first.database();
    const replica = await startReplica(first);
    atEnd(() => replica.remove());
    const proxy = await startSwallowingProxy(first.port);
    const url = database.replace(`:${first.port}/`, `:${proxy.port}/`);
    const fleet = await startFleet({ url, daemons: 2, events: EVENTS, webhooks: 6 });
    expect(first.run(database, "SELECT sync_state FROM pg_stat_replication")).toBe("sync");
    const ackedSoFar = () => fleet.scanners.reduce((sum, { acked: { size } }) => sum + size, 0);
    allow(fleet, 1, EVENTS);
    await until("some are acked", () => ackedSoFar() > EVENTS / 4);
    await first.stop("immediate");
    const acked = ackedSoFar();
    expect(acked).toBeLessThan(EVENTS);
    const healthy = async ({ url: at }: RunningDaemon) => (await fetch(`${at}/health`)).status;
    await until(
      "they say so",
      async () => (await Promise.all(fleet.daemons.map(healthy))).every((n) => n === 503),
      6_000,
    );
    proxy.lead(replica.port);
    await Bun.sleep(300);
    replica.promote();
    await until(
      "they are healthy again",
      async () => (await Promise.all(fleet.daemons.map(healthy))).every((n) => n === 200),
      5_000,
    );
    await untilAllArrived(fleet, EVENTS);
    const { repeats, duplicates } = checkArrivals(fleet);
    console.log(`${acked} acked before it, ${repeats} repeats, ${duplicates} duplicates`);
  }, 60_000);
});
