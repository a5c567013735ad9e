import { hasPostgres } from "../../test/support/postgres.ts";
import { type Bench, check, type Line, type Row } from "../support/bench.ts";
import { type Installation, install } from "../support/installation.ts";
import { formatCost, formatRatio, measurePairs } from "../support/pairs.ts";
import { databaseArgs, startPostgres } from "../support/postgres.ts";
import { fillHistory } from "../support/postgres-history.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { webhooksAt, wholeWayThrough } from "../support/scenarios.ts";
import { skipped } from "../support/skipped.ts";
import { formatBytes, formatRate } from "../support/statistics.ts";

/** The empty database may be so many times as fast. */
const GOAL = 1.3;
/** Webhooks that have a past; one of them gets the events that are timed. */
const WEBHOOKS = 20;

/** The whole way over a PostgreSQL database that has kept a week of deliveries, beside one that has none. */
export const postgresHistoryRow: Row = {
  name: "postgres-history",
  async run(bench): Promise<Line[]> {
    const deliveries = bench.size(5_000_000, 70_000);
    const events = bench.size(50_000, 2_000);
    const name = `whole way of ${events.toLocaleString("en")} events over PostgreSQL with ${deliveries.toLocaleString("en")} finished deliveries`;
    if (!hasPostgres()) return [skipped(name, "no PostgreSQL server is installed")];
    const cluster = await startPostgres(bench);
    const receiver = await startReceiver(bench, { cheap: true });
    const prepare = async (): Promise<{ url: string; installation: Installation }> => {
      const url = await cluster.database();
      const installation = await installWebhooks(bench, receiver, databaseArgs(bench, url));
      await installation.daemon.stop();
      return { url, installation };
    };
    const run = async ({ installation }: { installation: Installation }) => {
      const daemon = await installation.start();
      const webhooks = installation.webhooks.slice(0, 1);
      return wholeWayThrough(bench, { ...installation, daemon, webhooks }, { receiver, events });
    };

    const full = await prepare();
    bench.progress(`filling a database with ${deliveries.toLocaleString("en")} deliveries`);
    await fillHistory(cluster, full.url, deliveries);
    const pairs = await measurePairs(
      bench.rounds,
      () => run(full),
      async () => run(await prepare()),
    );
    const finished = Number(cluster.run(full.url, "SELECT count(*) FROM deliveries"));
    const expected = Math.floor(deliveries / 7) * 7 + bench.rounds * events;
    check(`every delivery is there (${finished} of ${expected})`, finished === expected);
    const size = Number(cluster.run(full.url, "SELECT pg_database_size(current_database())"));
    return [
      {
        name,
        figure: formatRate(pairs.ours),
        limit: `empty ${formatRate(pairs.limit)}`,
        ratio: formatRatio(pairs),
        cost: formatCost(pairs),
        goal: `≥ ${(1 / GOAL).toFixed(2)}`,
        reached: pairs.ratio >= 1 / GOAL,
        note: `a database of ${formatBytes(size)}`,
        values: { ...pairs, size },
      },
    ];
  },
};

/** One webhook that gets the events, and others that do not subscribe to them. */
function installWebhooks(bench: Bench, receiver: Receiver, args: readonly string[]): Promise<Installation> {
  const [first = { url: "" }] = webhooksAt(receiver);
  const others = Array.from({ length: WEBHOOKS - 1 }, () => ({ ...first, tier: "green" as const }));
  return install(bench, { webhooks: [first, ...others], args });
}
