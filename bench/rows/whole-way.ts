import type { Line, Row } from "../support/bench.ts";
import { CHEAP_RECEIVER } from "../support/cheap-receiver.ts";
import { bareFetch, SECRET } from "../support/fetch-loop.ts";
import { newRows, ownLoop } from "../support/own-loop.ts";
import { formatCost, formatRatio, measurePairs, measureRuns, type Runs, spreadOf } from "../support/pairs.ts";
import { startReceiver } from "../support/receiver.ts";
import { webhooksAt, wholeWay } from "../support/scenarios.ts";
import { formatRate } from "../support/statistics.ts";

const GOAL = 0.6;

export const wholeWayRow: Row = {
  name: "whole-way",
  async run(bench) {
    const events = bench.size(50_000, 5_000);
    const receiver = await startReceiver(bench, { cheap: true });
    const webhooks = webhooksAt(receiver);
    const loop = bareFetch(bench, { receiver, targets: [{ url: webhooks[0]?.url ?? "", secret: SECRET }] });
    const pairs = await measurePairs(
      bench.rounds,
      () => wholeWay(bench, { receiver, events, webhooks }),
      () => loop.rate(events),
    );
    const transport = await measureRuns(bench.rounds, () =>
      ownLoop(bench, receiver, { count: events, rows: null }),
    );
    const rows = await measureRuns(bench.rounds, () =>
      ownLoop(bench, receiver, { count: events, rows: newRows(bench) }),
    );
    return [
      {
        name: `whole way of ${events.toLocaleString("en")} events, socket to receiver`,
        figure: formatRate(pairs.ours),
        limit: `bare fetch ${formatRate(pairs.limit)}`,
        ratio: formatRatio(pairs),
        cost: formatCost(pairs),
        goal: `≥ ${GOAL}`,
        reached: pairs.ratio >= GOAL,
        note: `the requests went to ${CHEAP_RECEIVER}`,
        values: { ...pairs },
      },
      part("the daemon's transport and signatures alone, nothing stored", transport, pairs.ours),
      part("the same with the rows of events, deliveries and results", rows, pairs.ours),
    ];
  },
};

/** A part of the whole way, which is what the whole can come close to. */
function part(name: string, { rate, rates, cpuUs }: Runs, whole: number): Line {
  const shares = spreadOf(rates.map((each) => whole / each));
  return {
    name,
    figure: formatRate(rate),
    limit: `the whole way ${formatRate(whole)}`,
    ratio: formatRatio(shares),
    cost: cpuUs.toFixed(1),
    goal: "",
    reached: null,
    values: { rate, cpuUs, ...shares },
  };
}
