import type { Row } from "../support/bench.ts";
import { bareFetch, SECRET } from "../support/fetch-loop.ts";
import { formatCost, formatRatio, measurePairs } from "../support/pairs.ts";
import { startReceiver } from "../support/receiver.ts";
import { drain, webhooksAt } from "../support/scenarios.ts";
import { formatRate, median } from "../support/statistics.ts";

const GOAL = 0.75;

export const drainRow: Row = {
  name: "drain",
  async run(bench) {
    const events = bench.size(50_000, 5_000);
    const receiver = await startReceiver(bench, { cheap: true });
    const webhooks = webhooksAt(receiver);
    const loop = bareFetch(bench, { receiver, targets: [{ url: webhooks[0]?.url ?? "", secret: SECRET }] });
    const started: number[] = [];
    const ours = async () => {
      const result = await drain(bench, { receiver, events, webhooks });
      started.push(result.rateWithoutStart);
      return result;
    };
    const pairs = await measurePairs(bench.rounds, ours, () => loop.rate(events));
    const withoutStart = median(started);
    return [
      {
        name: `drain of ${events.toLocaleString("en")} stored events, start included`,
        figure: formatRate(pairs.ours),
        limit: `bare fetch ${formatRate(pairs.limit)}`,
        ratio: formatRatio(pairs),
        cost: formatCost(pairs),
        goal: `≥ ${GOAL}`,
        reached: pairs.ratio >= GOAL,
        note: `from the first request on ${formatRate(withoutStart)}`,
        values: { ...pairs, withoutStart },
      },
    ];
  },
};
