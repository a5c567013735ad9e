import { type Bench, check, within } from "./bench.ts";
import { SECRET } from "./fetch-loop.ts";
import type { BullmqMethods } from "./programs/bullmq.ts";
import type { Receiver } from "./receiver.ts";
import { startRedis } from "./redis.ts";
import { webhooksAt } from "./scenarios.ts";
import { perSecond } from "./statistics.ts";

const LONGEST_MS = 300_000;

interface BullmqInput {
  /** Path of redis-server. */
  server: string;
  receiver: Receiver;
  events: number;
}

/** Deliveries a second of BullMQ with one queue and worker over a Redis of its own. */
export async function bullmqRate(
  bench: Bench,
  { server, receiver, events: count }: BullmqInput,
): Promise<number> {
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
