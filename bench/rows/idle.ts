import { join } from "node:path";
import { type Bench, check, type Line, type Row } from "../support/bench.ts";
import { startDaemon } from "../support/daemon.ts";
import { install, LOOPBACK } from "../support/installation.ts";
import { AT_REST_AFTER_MS, loadDuring, loadOf } from "../support/process-load.ts";
import { startReceiver } from "../support/receiver.ts";
import { registerMany } from "../support/registered.ts";
import { connectScanner } from "../support/scanner.ts";
import { allWritten, webhooksAt } from "../support/scenarios.ts";
import { formatBytes, formatMs, median } from "../support/statistics.ts";
import { countSyncs } from "../support/syncs.ts";

const SETTLE_MS = 2_000;
const [GOAL_BYTES, GOAL_MS] = [70e6, 250];
const GOAL_SHARE = 0.002;
const GOAL_EVENT_MS = 1;

/** What a daemon costs that has nothing to do, or hardly anything. */
export const idleRow: Row = {
  name: "idle",
  run: async (bench) => [await smallest(bench), await withMany(bench), await oneASecond(bench)],
};

async function smallest(bench: Bench): Promise<Line> {
  const starts: number[] = [];
  const memory: number[] = [];
  for (let i = 0; i < bench.size(7, 3); i += 1) {
    const daemon = await startDaemon(bench, { dataDir: join(bench.newDir(), "data") });
    starts.push(daemon.readyAt - daemon.spawnedAt);
    await Bun.sleep(SETTLE_MS);
    memory.push(daemon.memory().resident);
    await daemon.stop();
  }
  const [resident, ready] = [median(memory), median(starts)];
  return {
    name: "idle: resident memory, start on an empty directory until ready",
    figure: `${formatBytes(resident)}, ${formatMs(ready)}`,
    limit: "",
    ratio: "",
    goal: "70 MB, 250 ms",
    reached: resident <= GOAL_BYTES && ready <= GOAL_MS,
    values: { resident, ready },
  };
}

async function withMany(bench: Bench): Promise<Line> {
  const webhooks = bench.size(10_000, 1_000);
  const receiver = await startReceiver(bench, { cheap: true });
  const { dataDir } = await registerMany(bench, receiver, webhooks);
  const daemon = await startDaemon(bench, { dataDir, args: LOOPBACK });
  await Bun.sleep(bench.size(AT_REST_AFTER_MS, SETTLE_MS));
  const { share, waits } = await loadDuring(daemon.pid, bench.size(30_000, 2_000));
  await daemon.stop();
  return {
    name: `idle with ${webhooks.toLocaleString("en")} webhooks: share of a processor, wake-ups a second`,
    figure: `${(share * 100).toFixed(2)} %, ${waits.toFixed(1)}`,
    limit: "",
    ratio: "",
    goal: "< 0.2 %",
    reached: share < GOAL_SHARE,
    values: { share, waits },
  };
}

async function oneASecond(bench: Bench): Promise<Line> {
  const count = bench.size(30, 3);
  const receiver = await startReceiver(bench, { cheap: true });
  const { daemon, organizationId, webhooks } = await install(bench, { webhooks: webhooksAt(receiver) });
  const scanner = await connectScanner(bench, daemon.socket, 1);
  const send = async (events: number): Promise<void> => {
    await receiver.expect(events);
    await scanner.steady({ organizationId, rate: 1, count: events, deliveriesEach: 1 });
    await receiver.reached(webhooks.map(({ secret }) => secret));
  };
  await send(3);
  // Those that take the time are not those whose syncs are counted: to be looked at is dear.
  const before = loadOf(daemon.pid);
  await send(count);
  const eachMs = (loadOf(daemon.pid).processorMs - before.processorMs) / count;
  const syncs = await countSyncs(bench, daemon.pid);
  if (syncs) await send(count);
  const counted = (await syncs?.stop()) ?? null;
  check("the syncs were seen", counted === null || counted > 0);
  await allWritten(daemon);
  await daemon.stop();
  const each = counted === null ? null : counted / count;
  return {
    name: "one event a second: processor time each, all of the daemon's, and syncs",
    figure: `${formatMs(eachMs)}, ${each === null ? "not seen without strace" : each.toFixed(1)}`,
    limit: "",
    ratio: "",
    goal: "< 1 ms, 1",
    reached: eachMs < GOAL_EVENT_MS && (each === null || each < 1.5),
    values: { eachMs, ...(each !== null && { syncs: each }) },
  };
}
