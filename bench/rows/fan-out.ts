import type { Row } from "../support/bench.ts";
import { bareFetch, SECRET } from "../support/fetch-loop.ts";
import { formatCost, formatRatio, measurePairs } from "../support/pairs.ts";
import { startReceiver } from "../support/receiver.ts";
import { webhooksAt, wholeWay } from "../support/scenarios.ts";
import { formatRate } from "../support/statistics.ts";

const GOAL = 0.65;
const PORTS = 100;

export const fanOutRow: Row = {
  name: "fan-out",
  async run(bench) {
    const events = bench.size(1_000, 100);
    const receiver = await startReceiver(bench, { ports: PORTS, cheap: true });
    const webhooks = webhooksAt(receiver);
    const targets = webhooks.map(({ url }) => ({ url, secret: SECRET }));
    const loop = bareFetch(bench, { receiver, targets });
    const pairs = await measurePairs(
      bench.rounds,
      () => wholeWay(bench, { receiver, events, webhooks }),
      () => loop.rate(events * PORTS),
    );
    return [
      {
        name: `fan-out of ${events.toLocaleString("en")} events to ${PORTS} webhooks`,
        figure: formatRate(pairs.ours),
        limit: `bare fetch ${formatRate(pairs.limit)}`,
        ratio: formatRatio(pairs),
        cost: formatCost(pairs),
        goal: `≥ ${GOAL}`,
        reached: pairs.ratio >= GOAL,
        values: { ...pairs },
      },
    ];
  },
};
