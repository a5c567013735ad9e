import type { Bench, Row } from "../support/bench.ts";
import { bareFetch, SECRET } from "../support/fetch-loop.ts";
import { install } from "../support/installation.ts";
import { ownLoop } from "../support/own-loop.ts";
import {
  formatCost,
  formatRatio,
  type Measured,
  measurePairs,
  measureRuns,
  spreadOf,
} from "../support/pairs.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { drain, seed, webhooksAt } from "../support/scenarios.ts";
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
    const own = await measureRuns(bench.rounds, () => ownDrain(bench, receiver, events));
    const ownRatio = spreadOf(own.rates.map((rate) => rate / pairs.limit));
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
      {
        name: "the daemon's transport, signatures, claims and results alone, its start not counted",
        figure: formatRate(own.rate),
        limit: `bare fetch ${formatRate(pairs.limit)}`,
        ratio: formatRatio(ownRatio),
        cost: own.cpuUs.toFixed(1),
        goal: "",
        reached: null,
        note: `from the first request on, the daemon makes ${(withoutStart / own.rate).toFixed(2)} of that`,
        values: { rate: own.rate, cpuUs: own.cpuUs, ...ownRatio },
      },
    ];
  },
};

/** The drain without the daemon: what its transport and its store take for the same. */
async function ownDrain(bench: Bench, receiver: Receiver, events: number): Promise<Measured> {
  const installation = await install(bench, { webhooks: webhooksAt(receiver), paused: true });
  await seed(bench, installation, events);
  const { dataDir } = installation;
  return ownLoop(bench, receiver, { count: events, rows: { dataDir, from: "pending" } });
}
