import type { Line, Row } from "../support/bench.ts";
import { bullmqRate } from "../support/bullmq.ts";
import { formatRatio, measurePairs } from "../support/pairs.ts";
import { startReceiver } from "../support/receiver.ts";
import { webhooksAt, wholeWay } from "../support/scenarios.ts";
import { skipped } from "../support/skipped.ts";
import { formatRate } from "../support/statistics.ts";

const GOAL = 5;

export const bullmqRow: Row = {
  name: "bullmq",
  async run(bench): Promise<Line[]> {
    const events = bench.size(50_000, 5_000);
    const name = `whole way of ${events.toLocaleString("en")} events, beside BullMQ and Redis`;
    const server = Bun.which("redis-server");
    if (!server) return [skipped(name, "redis-server is missing")];
    const receiver = await startReceiver(bench);
    const webhooks = webhooksAt(receiver);
    const pairs = await measurePairs(
      bench.rounds,
      () => wholeWay(bench, { receiver, events, webhooks }),
      () => bullmqRate(bench, { server, receiver, events }),
    );
    return [
      {
        name,
        figure: formatRate(pairs.ours),
        limit: `BullMQ ${formatRate(pairs.limit)}`,
        ratio: formatRatio(pairs),
        goal: `≥ ${GOAL}`,
        reached: pairs.ratio >= GOAL,
        values: { ...pairs },
      },
    ];
  },
};
