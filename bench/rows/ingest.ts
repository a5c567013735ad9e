import { join } from "node:path";
import { type Bench, check, type Row } from "../support/bench.ts";
import { install } from "../support/installation.ts";
import { formatRatio, measurePairs } from "../support/pairs.ts";
import type { AckLoopMethods } from "../support/programs/ack-loop.ts";
import type { SqliteInsertsMethods } from "../support/programs/sqlite-inserts.ts";
import { connectScanner } from "../support/scanner.ts";
import { formatRate, perSecond } from "../support/statistics.ts";

const GOAL = 0.7;
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
    const acked = await measurePairs(
      bench.rounds,
      () => ingestRate(bench, events),
      () => ackRate(bench, events),
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
      {
        name: "the same, beside reading, parsing and acking alone, nothing checked or stored",
        figure: formatRate(acked.ours),
        limit: `acks ${formatRate(acked.limit)}`,
        ratio: formatRatio(acked),
        goal: "",
        reached: null,
        note: `one thread that does this and then what SQLite takes comes to ${formatRate(oneAfterTheOther(acked.limit, pairs.limit))}`,
        values: { ...acked, sum: oneAfterTheOther(acked.limit, pairs.limit) },
      },
    ];
  },
};

/** The rate of doing one thing and then another, from the rates of each. */
function oneAfterTheOther(a: number, b: number): number {
  return 1 / (1 / a + 1 / b);
}

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

async function ackRate(bench: Bench, count: number): Promise<number> {
  const program = bench.program<AckLoopMethods>("ack-loop");
  const path = join(bench.newDir(), "acks.sock");
  await program.call("listen", { path });
  const scanner = await connectScanner(bench, path, CONNECTIONS);
  const organizationIds = [crypto.randomUUID()];
  const { startedAt, lastAckAt } = await scanner.flood({ organizationIds, count, deliveriesEach: 0 });
  await program.stop();
  return perSecond(count, lastAckAt - startedAt);
}

async function insertRate(bench: Bench, count: number): Promise<number> {
  const program = bench.program<SqliteInsertsMethods>("sqlite-inserts");
  const rate = await program.call("insert", { dir: bench.newDir(), count });
  await program.stop();
  return rate;
}
