import { join } from "node:path";
import type { Cluster } from "../../test/support/postgres.ts";
import { hasPostgres } from "../../test/support/postgres.ts";
import { type Bench, type Line, type Row, within } from "../support/bench.ts";
import { bullmqRate } from "../support/bullmq.ts";
import { now } from "../support/clock.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { install } from "../support/installation.ts";
import { formatCost, formatRatio, measurePairs, type Pairs } from "../support/pairs.ts";
import { bareInserts, databaseArgs, insertLoop, startPostgres } from "../support/postgres.ts";
import { postgresRows } from "../support/postgres-rows.ts";
import { AT_REST_AFTER_MS, loadOf } from "../support/process-load.ts";
import { startReceiver } from "../support/receiver.ts";
import { connectScanner } from "../support/scanner.ts";
import { allWritten, drain, seed, webhooksAt, wholeWay } from "../support/scenarios.ts";
import { skipped } from "../support/skipped.ts";
import { formatMs, formatRate, perSecond } from "../support/statistics.ts";

const GOAL = 0.5;
/** Of what a loop of inserts comes to. */
const GOAL_OF_INSERTS = 0.7;
const GOAL_TAKE_OVER_MS = 1_000;
const TAKEN_OVER = 200_000;
const TAKEN_WEBHOOKS = 10;
const SHARES_MS = 15_000;
const WEBHOOKS = 6;
const IDLE_MS = 10_000;
const SETTLE_MS = 3_000;
const BODY = JSON.stringify({
  event: "red_tier",
  tier: "red",
  action: "block",
  signals: [],
  pad: "x".repeat(200),
});

/** Several daemons on one PostgreSQL, beside one on its own file in the same run. */
export const postgresRow: Row = {
  name: "postgres",
  async run(bench): Promise<Line[]> {
    const events = bench.size(50_000, 2_000);
    const shown = events.toLocaleString("en");
    if (!hasPostgres())
      return [skipped(`whole way of ${shown} events over PostgreSQL`, "no PostgreSQL server is installed")];
    const cluster = await startPostgres(bench);
    const receiver = await startReceiver(bench, { cheap: true });
    const webhooks = webhooksAt(receiver);
    const args = async () => databaseArgs(bench, await cluster.database());

    const pairs = await measurePairs(
      bench.rounds,
      async () => wholeWay(bench, { receiver, events, webhooks, args: await args() }),
      () => wholeWay(bench, { receiver, events, webhooks }),
    );
    const loop = await measurePairs(
      bench.rounds,
      async () => wholeWay(bench, { receiver, events, webhooks, args: await args() }),
      () => insertLoop(cluster, events, BODY),
    );
    const bare = await bareInserts(cluster, events, BODY);
    const rows = await postgresRows(bench, cluster, events);
    const redis = Bun.which("redis-server");
    const beside =
      redis &&
      (await measurePairs(
        bench.rounds,
        async () => wholeWay(bench, { receiver, events, webhooks, args: await args() }),
        () => bullmqRate(bench, { server: redis, receiver, events }),
      ));
    const drained = await drain(bench, { receiver, events, webhooks, args: await args() });
    const several: number[] = [];
    for (const count of [1, 2, 3]) several.push(await shared(bench, { events, cluster, count }));
    const takenOver = await takeOver(bench, cluster);
    const idle = await idleLoad(bench, cluster);
    return [
      {
        name: `whole way of ${shown} events over PostgreSQL, one daemon`,
        figure: formatRate(pairs.ours),
        limit: `on its own file ${formatRate(pairs.limit)}`,
        ratio: formatRatio(pairs),
        cost: formatCost(pairs),
        goal: `≥ ${GOAL}`,
        reached: pairs.ratio >= GOAL,
        values: { ...pairs },
      },
      {
        name: "the same, beside a loop of inserts through Bun.SQL, one for each event, 64 at once",
        figure: formatRate(loop.ours),
        limit: `inserts ${formatRate(loop.limit)}`,
        ratio: formatRatio(loop),
        cost: formatCost(loop),
        goal: `≥ ${GOAL_OF_INSERTS}`,
        reached: loop.ratio >= GOAL_OF_INSERTS,
        note: "the processor time of the inserts is the client's and the server's",
        values: { ...loop },
      },
      part("inserts of arrays, 256 events to a statement", { rate: bare }, pairs),
      {
        ...part("its own statements alone, from the event to the result", rows, pairs),
        cost: rows.cpuUs.toFixed(1),
        note: `the server took ${rows.serverUs.toFixed(1)} µs of processor for each`,
      },
      beside
        ? {
            name: `whole way of ${shown} events over PostgreSQL, beside BullMQ and Redis`,
            figure: formatRate(beside.ours),
            limit: `BullMQ ${formatRate(beside.limit)}`,
            ratio: formatRatio(beside),
            goal: "",
            reached: null,
            values: { ...beside },
          }
        : skipped(`whole way of ${shown} events over PostgreSQL, beside BullMQ`, "redis-server is missing"),
      ...several.map((rate, i) =>
        plain(`the same to six webhooks, ${i + 1} daemon${i === 0 ? "" : "s"}`, rate, bare),
      ),
      plain(`drain of ${shown} stored events from PostgreSQL, start included`, drained.rate, bare),
      {
        name: `${takenOver.pending.toLocaleString("en")} pending at take-over: from having the lease to the first delivery`,
        figure: `at most ${formatMs(takenOver.milliseconds)}`,
        limit: "",
        ratio: "",
        goal: "1 s",
        reached: takenOver.milliseconds <= GOAL_TAKE_OVER_MS,
        values: takenOver,
      },
      {
        name: "three daemons idle: share of a processor together, commits a second",
        figure: `${(idle.share * 100).toFixed(1)} %, ${idle.commits.toFixed(1)}/s`,
        limit: "",
        ratio: "",
        goal: "2 %, 10/s",
        reached: idle.share <= 0.02 && idle.commits <= 10,
        values: idle,
      },
    ];
  },
};

/** A part of the whole way over PostgreSQL, which is what the whole can come close to. */
function part(name: string, values: { rate: number }, { ours }: Pairs): Line {
  const ratio = ours / values.rate;
  return {
    name,
    figure: formatRate(values.rate),
    limit: `the whole way ${formatRate(ours)}`,
    ratio: ratio.toFixed(2),
    goal: "",
    reached: null,
    values: { ...values, ratio },
  };
}

function plain(name: string, rate: number, bare: number): Line {
  return {
    name,
    figure: formatRate(rate),
    limit: `inserts of arrays ${formatRate(bare)}`,
    ratio: (rate / bare).toFixed(2),
    goal: "",
    reached: null,
    values: { rate, bare },
  };
}

interface SharedInput {
  events: number;
  cluster: Cluster;
  count: number;
}

/** Starts so many daemons on one database, and waits until their shares are fair. */
async function startAll(
  bench: Bench,
  first: Daemon,
  args: readonly string[],
  count: number,
): Promise<Daemon[]> {
  const daemons = [first];
  for (let i = 1; i < count; i += 1) {
    daemons.push(await startDaemon(bench, { dataDir: join(bench.newDir(), "data"), args }));
  }
  const fair = async (): Promise<void> => {
    for (;;) {
      const held = await Promise.all(daemons.map((daemon) => daemon.metric("armorhooks_partitions_held")));
      if (
        held.every((n) => n > 0 && n <= Math.ceil(256 / count)) &&
        held.reduce((sum, n) => sum + n, 0) === 256
      )
        return;
      await Bun.sleep(100);
    }
  };
  await within("sharing the webhooks", SHARES_MS, fair());
  return daemons;
}

const LOOPBACK = ["--allow-http", "--allow-networks", "127.0.0.0/8,::1/128"];

/** Deliveries a second of several daemons, a scanner to each, and webhooks for all of them. */
async function shared(bench: Bench, { events, cluster, count }: SharedInput): Promise<number> {
  const args = databaseArgs(bench, await cluster.database());
  // One webhook is sent to by one daemon: with more of them than daemons, each has some.
  const receiver = await startReceiver(bench, { ports: WEBHOOKS });
  const webhooks = webhooksAt(receiver);
  const { daemon, organizationId, webhooks: registered } = await install(bench, { webhooks, args });
  const daemons = await startAll(bench, daemon, [...LOOPBACK, ...args], count);
  const each = Math.floor(events / webhooks.length / count);
  const scanners = await Promise.all(daemons.map(({ socket }) => connectScanner(bench, socket, 2)));
  const deliveries = each * count * webhooks.length;
  await receiver.expect(deliveries);
  const floods = await Promise.all(
    scanners.map((scanner) =>
      scanner.flood({ organizationIds: [organizationId], count: each, deliveriesEach: webhooks.length }),
    ),
  );
  const { lastAt } = await receiver.reached(registered.map(({ secret }) => secret));
  await allWritten(daemon);
  for (const one of daemons) await one.stop();
  return perSecond(deliveries, lastAt - Math.min(...floods.map(({ startedAt }) => startedAt)));
}

/** What is pending waits for whoever takes the webhooks; from the last moment without a lease until the first request comes. */
async function takeOver(bench: Bench, cluster: Cluster): Promise<{ pending: number; milliseconds: number }> {
  const receiver = await startReceiver(bench, { ports: TAKEN_WEBHOOKS });
  const args = databaseArgs(bench, await cluster.database());
  const installation = await install(bench, { webhooks: webhooksAt(receiver), args, paused: true });
  const events = bench.size(TAKEN_OVER, 2_000) / TAKEN_WEBHOOKS;
  await seed(bench, installation, events);
  const pending = events * TAKEN_WEBHOOKS;
  await receiver.expect(pending);
  const daemon = await installation.start();
  let without = daemon.readyAt;
  for (let asked = now(); (await daemon.metric("armorhooks_partitions_held")) === 0; asked = now())
    without = asked;
  const { firstAt } = await receiver.reached(installation.webhooks.map(({ secret }) => secret));
  await daemon.stop();
  return { pending, milliseconds: firstAt - without };
}

/** The share of a processor that all of them take together while nothing happens, and the transactions a second that write something. */
async function idleLoad(bench: Bench, cluster: Cluster): Promise<{ share: number; commits: number }> {
  const url = await cluster.database();
  const args = databaseArgs(bench, url);
  const first = await startDaemon(bench, { dataDir: join(bench.newDir(), "data"), args });
  const daemons = await startAll(bench, first, args, 3);
  await Bun.sleep(bench.size(AT_REST_AFTER_MS, SETTLE_MS));
  const used = (): number => daemons.reduce((sum, { pid }) => sum + loadOf(pid).processorMs, 0);
  // Each transaction that writes takes the next number.
  const written = (): number => Number(cluster.run(url, "SELECT pg_snapshot_xmax(pg_current_snapshot())"));
  const before = { used: used(), written: written() };
  await Bun.sleep(IDLE_MS);
  const share = (used() - before.used) / IDLE_MS;
  const commits = ((written() - before.written) * 1000) / IDLE_MS;
  for (const daemon of daemons) await daemon.stop();
  return { share, commits };
}
