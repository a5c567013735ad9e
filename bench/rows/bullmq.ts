import { type Bench, check, type Line, type Row, within } from "../support/bench.ts";
import { SECRET } from "../support/fetch-loop.ts";
import { formatRatio, measurePairs } from "../support/pairs.ts";
import type { BullmqMethods } from "../support/programs/bullmq.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { startRedis } from "../support/redis.ts";
import { webhooksAt, wholeWay } from "../support/scenarios.ts";
import { skipped } from "../support/skipped.ts";
import { formatRate, perSecond } from "../support/statistics.ts";

const GOAL = 4;
const LONGEST_MS = 300_000;

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

interface BullmqInput {
  server: string;
  receiver: Receiver;
  events: number;
}

async function bullmqRate(bench: Bench, { server, receiver, events: count }: BullmqInput): Promise<number> {
  const redis = await startRedis(bench, server);
  const url = webhooksAt(receiver)[0]?.url ?? "";
  await receiver.expect(count);
  const program = bench.program<BullmqMethods>("bullmq");
  const run = program.call("run", { redisUrl: redis.url, url, secret: SECRET, count });
  const { startedAt, remaining } = await within("BullMQ", LONGEST_MS, run);
  check(`BullMQ has nothing left (${remaining})`, remaining === 0);
  const { lastAt } = await receiver.reached([SECRET]);
  await program.stop();
  await redis.stop();
  return perSecond(count, lastAt - startedAt);
}
