import type { Bench, Row } from "../support/bench.ts";
import { bareFetch, SECRET } from "../support/fetch-loop.ts";
import { install } from "../support/installation.ts";
import { ownLatencies } from "../support/own-loop.ts";
import { measurePairs } from "../support/pairs.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { connectScanner } from "../support/scanner.ts";
import { allWritten, webhooksAt } from "../support/scenarios.ts";
import { formatMs, median, percentile } from "../support/statistics.ts";

const RATE = 200;
const GOAL_MS = 0.5;

export const latencyRow: Row = {
  name: "latency",
  async run(bench) {
    const count = RATE * bench.size(15, 4);
    const receiver = await startReceiver(bench);
    const targets = webhooksAt(receiver).map(({ url }) => ({ url, secret: SECRET }));
    const loop = bareFetch(bench, { receiver, targets });
    const medians = { ours: [] as number[], limit: [] as number[] };
    const p99 = (side: "ours" | "limit", latencies: number[]): number => {
      medians[side].push(percentile(latencies, 0.5));
      return percentile(latencies, 0.99);
    };
    const pairs = await measurePairs(
      bench.rounds,
      async () => p99("ours", await latencies(bench, receiver, count)),
      async () => p99("limit", await loop.latencies({ rate: RATE, count })),
    );
    const own = { p50: [] as number[], p99: [] as number[] };
    for (let round = 0; round < bench.rounds; round += 1) {
      const each = await ownLatencies(bench, receiver, { rate: RATE, count });
      own.p50.push(percentile(each, 0.5));
      own.p99.push(percentile(each, 0.99));
    }
    const [ownP50, ownP99] = [median(own.p50), median(own.p99)];
    const ownDifference = [ownP99, Math.min(...own.p99), Math.max(...own.p99)].map((ms) => ms - pairs.limit);
    const p50 = { ours: median(medians.ours), limit: median(medians.limit) };
    return [
      {
        name: `latency at ${RATE} events/s, write to receipt, p50 and p99`,
        figure: `${formatMs(p50.ours)}, ${formatMs(pairs.ours)}`,
        limit: `bare fetch ${formatMs(p50.limit)}, ${formatMs(pairs.limit)}`,
        ratio: `p99 ${formatDifferences([pairs.difference, pairs.leastDifference, pairs.largestDifference])}`,
        goal: `≤ +${GOAL_MS} ms`,
        reached: pairs.difference <= GOAL_MS,
        values: { ...pairs, p50: p50.ours, limitP50: p50.limit },
      },
      {
        name: "the daemon's transport and signatures with the rows and their sync, no socket, no acks: p50 and p99",
        figure: `${formatMs(ownP50)}, ${formatMs(ownP99)}`,
        limit: `bare fetch ${formatMs(p50.limit)}, ${formatMs(pairs.limit)}`,
        ratio: `p99 ${formatDifferences(ownDifference)}`,
        goal: "",
        reached: null,
        values: { p50: ownP50, p99: ownP99 },
      },
    ];
  },
};

/** Of the median, the least and the largest. */
function formatDifferences([middle = 0, least = 0, largest = 0]: readonly number[]): string {
  const sides = `${formatDifference(least)} to ${formatDifference(largest)}`;
  return `${formatDifference(middle)}${least === largest ? "" : ` (${sides})`}`;
}

function formatDifference(milliseconds: number): string {
  return `${milliseconds < 0 ? "-" : "+"}${formatMs(Math.abs(milliseconds))}`;
}

async function latencies(bench: Bench, receiver: Receiver, count: number): Promise<number[]> {
  const { daemon, organizationId, webhooks } = await install(bench, { webhooks: webhooksAt(receiver) });
  const scanner = await connectScanner(bench, daemon.socket, 1);
  await receiver.expect(count, { sequences: true });
  const sentAt = await scanner.steady({ organizationId, rate: RATE, count, deliveriesEach: 1 });
  await receiver.reached(webhooks.map(({ secret }) => secret));
  await allWritten(daemon);
  await daemon.stop();
  return receiver.latencies(sentAt);
}
