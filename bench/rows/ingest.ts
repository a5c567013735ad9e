import { type Bench, check, type Row } from "../support/bench.ts";
import { install } from "../support/installation.ts";
import { formatRatio, measurePairs } from "../support/pairs.ts";
import type { SqliteInsertsMethods } from "../support/programs/sqlite-inserts.ts";
import { connectScanner } from "../support/scanner.ts";
import { formatRate, perSecond } from "../support/statistics.ts";

const GOAL = 0.5;
const CONNECTIONS = 4;

export const ingestRow: Row = {
  name: "ingest",
  async run(bench) {
    const events = bench.size(100_000, 10_000);
    const pairs = await measurePairs(
      bench.rounds,
      () => ingestRate(bench, events),
      () => insertRate(bench, events),
    );
    return [
      {
        name: `acked ingest of ${events.toLocaleString("en")} events, ${CONNECTIONS} connections`,
        figure: formatRate(pairs.ours),
        limit: `SQLite ${formatRate(pairs.limit)}`,
        ratio: formatRatio(pairs),
        goal: `≥ ${GOAL}`,
        reached: pairs.ratio >= GOAL,
        values: { ...pairs },
      },
    ];
  },
};

async function ingestRate(bench: Bench, count: number): Promise<number> {
  const { daemon, organizationId } = await install(bench, { webhooks: [] });
  const scanner = await connectScanner(bench, daemon.socket, CONNECTIONS);
  const { startedAt, lastAckAt } = await scanner.flood({
    organizationIds: [organizationId],
    count,
    deliveriesEach: 0,
  });
  const counted = await daemon.metric("armorhooks_events_total");
  check(`the daemon counted every event (${counted})`, counted === count);
  await daemon.stop();
  return perSecond(count, lastAckAt - startedAt);
}

async function insertRate(bench: Bench, count: number): Promise<number> {
  const program = bench.program<SqliteInsertsMethods>("sqlite-inserts");
  const rate = await program.call("insert", { dir: bench.newDir(), count });
  await program.stop();
  return rate;
}
