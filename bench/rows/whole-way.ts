import type { Row } from "../support/bench.ts";
import { bareFetch, SECRET } from "../support/fetch-loop.ts";
import { measurePairs } from "../support/pairs.ts";
import { startReceiver } from "../support/receiver.ts";
import { webhooksAt, wholeWay } from "../support/scenarios.ts";
import { formatRate } from "../support/statistics.ts";

const GOAL = 0.45;

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
    return [
      {
        name: `whole way of ${events.toLocaleString("en")} events, socket to receiver`,
        figure: formatRate(pairs.ours),
        limit: `bare fetch ${formatRate(pairs.limit)}`,
        ratio: pairs.ratio.toFixed(2),
        goal: `≥ ${GOAL}, aim 0.6`,
        reached: pairs.ratio >= GOAL,
        values: { ...pairs },
      },
    ];
  },
};
