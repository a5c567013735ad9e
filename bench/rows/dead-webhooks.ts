import { type Bench, check, type Row } from "../support/bench.ts";
import { install, type WebhookInput } from "../support/installation.ts";
import { formatRatio, measurePairs } from "../support/pairs.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { connectScanner } from "../support/scanner.ts";
import { webhooksAt } from "../support/scenarios.ts";
import { formatMs, median, percentile } from "../support/statistics.ts";

const RATE = 500;
const HANGING = 5;
const REFUSING = 4;
const GOAL = 1.5;

export const deadWebhooksRow: Row = {
  name: "dead-webhooks",
  async run(bench) {
    const count = RATE * bench.size(12, 4);
    const receiver = await startReceiver(bench);
    const hole = await startReceiver(bench, { ports: HANGING, answers: false });
    const refusing = await Promise.all(Array.from({ length: REFUSING }, () => receiver.closedPort()));
    const dead = [...webhooksAt(hole), ...refusing.map((port) => ({ url: `http://127.0.0.1:${port}/hook` }))];
    const requests: number[] = [];
    const withDead = async () => {
      await hole.expect(0);
      const p99 = await healthyP99(bench, receiver, { dead, count });
      requests.push((await hole.report()).count);
      return p99;
    };
    const alone = () => healthyP99(bench, receiver, { dead: [], count });
    const pairs = await measurePairs(bench.rounds, withDead, alone);
    return [
      {
        name: `${dead.length} dead webhooks, 1 healthy at ${RATE} events/s: its p99`,
        figure: formatMs(pairs.ours),
        limit: `alone ${formatMs(pairs.limit)}`,
        ratio: formatRatio(pairs),
        goal: `≤ ${GOAL}`,
        reached: pairs.ratio <= GOAL,
        note: `${median(requests)} requests went to the ${HANGING} that hang`,
        values: { ...pairs, requestsToHanging: median(requests) },
      },
    ];
  },
};

interface Load {
  dead: readonly WebhookInput[];
  count: number;
}

async function healthyP99(bench: Bench, receiver: Receiver, { dead, count }: Load): Promise<number> {
  const installation = await install(bench, { webhooks: [...webhooksAt(receiver), ...dead] });
  const { daemon, organizationId, webhooks } = installation;
  const scanner = await connectScanner(bench, daemon.socket, 1);
  await receiver.expect(count, { sequences: true });
  const deliveriesEach = webhooks.length;
  const sentAt = await scanner.steady({ organizationId, rate: RATE, count, deliveriesEach });
  await receiver.reached([webhooks[0]?.secret ?? ""]);
  const pending = await daemon.metric("armorhooks_pending_deliveries");
  const expected = count * dead.length;
  check(`what the dead ones did not take is still there (${pending} of ${expected})`, pending === expected);
  await daemon.stop();
  return percentile(await receiver.latencies(sentAt), 0.99);
}
