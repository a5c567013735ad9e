import { join } from "node:path";
import { startBareDaemon } from "../support/bare-daemon.ts";
import { type Bench, check, type Line, type Row } from "../support/bench.ts";
import { startDaemon } from "../support/daemon.ts";
import { install, LOOPBACK } from "../support/installation.ts";
import { AT_REST_AFTER_MS, loadDuring } from "../support/process-load.ts";
import { processorTime } from "../support/processor-time.ts";
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
  const bare = await startBareDaemon(bench);
  await Bun.sleep(bench.size(AT_REST_AFTER_MS, SETTLE_MS));
  const during = bench.size(30_000, 2_000);
  const [ours, limit] = await Promise.all([loadDuring(daemon.pid, during), loadDuring(bare.pid, during)]);
  await daemon.stop();
  const { share, waits } = ours;
  return {
    name: `idle with ${webhooks.toLocaleString("en")} webhooks: share of a processor, wake-ups a second`,
    figure: `${formatShare(share)}, ${waits.toFixed(1)}`,
    limit: `a bare program ${formatShare(limit.share)}, ${limit.waits.toFixed(1)}`,
    ratio: "",
    goal: "< 0.2 %",
    reached: share < GOAL_SHARE,
    values: { share, waits, bareShare: limit.share, bareWaits: limit.waits },
  };
}

function formatShare(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}

async function oneASecond(bench: Bench): Promise<Line> {
  const [before, count] = [bench.size(60, 3), bench.size(60, 3)];
  const receiver = await startReceiver(bench, { cheap: true });
  const { daemon, organizationId, webhooks } = await install(bench, { webhooks: webhooksAt(receiver) });
  const bare = await startBareDaemon(bench);
  const [scanner, bareScanner] = [
    await connectScanner(bench, daemon.socket, 1),
    await connectScanner(bench, bare.socket, 1),
  ];
  const send = async (events: number): Promise<void> => {
    const steady = { organizationId, rate: 1, count: events, deliveriesEach: 1 };
    await receiver.expect(events);
    await Promise.all([scanner.steady(steady), bareScanner.steady(steady)]);
    await receiver.reached(webhooks.map(({ secret }) => secret));
  };
  // The runtime has compiled most of what it will, and collects garbage less often.
  await send(before);
  // Those that take the time are not those whose syncs are counted: to be looked at is dear.
  const used = () => ({ ours: processorTime(daemon.pid), bare: processorTime(bare.pid) });
  const from = used();
  await send(count);
  const to = used();
  const [eachMs, bareMs] = [(to.ours - from.ours) / count, (to.bare - from.bare) / count];
  const syncs = await countSyncs(bench, daemon.pid);
  if (syncs) await send(count);
  const counted = (await syncs?.stop()) ?? null;
  check("the syncs were seen", counted === null || counted > 0);
  check("the bare program delivered them too", (await bare.delivered()) >= before + count);
  await allWritten(daemon);
  await daemon.stop();
  const each = counted === null ? null : counted / count;
  return {
    name: "one event a second: processor time each, all of the daemon's, and syncs",
    figure: `${formatMs(eachMs)}, ${each === null ? "not seen without strace" : each.toFixed(1)}`,
    limit: `a bare program ${formatMs(bareMs)}, 1`,
    ratio: "",
    goal: "< 1 ms, 1",
    reached: eachMs < GOAL_EVENT_MS && (each === null || each < 1.05),
    values: { eachMs, bareMs, ...(each !== null && { syncs: each }) },
  };
}
