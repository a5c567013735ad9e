import type { Row } from "../support/bench.ts";
import { bareFetch, SECRET } from "../support/fetch-loop.ts";
import { measurePairs } from "../support/pairs.ts";
import { startReceiver } from "../support/receiver.ts";
import { drain, webhooksAt } from "../support/scenarios.ts";
import { formatRate, median } from "../support/statistics.ts";

const GOAL = 0.65;

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
      return result.rate;
    };
    const pairs = await measurePairs(bench.rounds, ours, () => loop.rate(events));
    const withoutStart = median(started);
    return [
      {
        name: `drain of ${events.toLocaleString("en")} stored events, start included`,
        figure: formatRate(pairs.ours),
        limit: `bare fetch ${formatRate(pairs.limit)}`,
        ratio: pairs.ratio.toFixed(2),
        goal: `≥ ${GOAL}, aim 0.8`,
        reached: pairs.ratio >= GOAL,
        note: `from the first request on ${formatRate(withoutStart)}`,
        values: { ...pairs, withoutStart },
      },
    ];
  },
};
