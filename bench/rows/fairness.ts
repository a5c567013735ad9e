import { type Bench, check, type Line, type Row } from "../support/bench.ts";
import type { Daemon } from "../support/daemon.ts";
import { type Installation, install } from "../support/installation.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { connectScanner } from "../support/scanner.ts";
import { allWritten, webhooksAt } from "../support/scenarios.ts";
import { formatMs, percentile } from "../support/statistics.ts";

const HANGING = 300;
const PENDING_EACH = 100;
const PROBE_RATE = 4;
const GOAL_MS = 1_000;

export const fairnessRow: Row = {
  name: "fairness",
  async run(bench) {
    const proven = await besideHanging(bench, true);
    const untried = await besideHanging(bench, false);
    return [proven, untried, await besideFlood(bench)];
  },
};

/**
 * A healthy webhook's new events, from the first moment of a start with a backlog for hundreds that hang.
 * `proven`: it has answered before, as any webhook but the newest has.
 */
async function besideHanging(bench: Bench, proven: boolean): Promise<Line> {
  const seconds = bench.size(30, 8);
  const receiver = await startReceiver(bench);
  const hole = await startReceiver(bench, { ports: HANGING, answers: false });
  const installation = await installWithBacklog(bench, { receiver, hole, proven });
  await hole.expect(0);
  const daemon = await installation.start();
  const count = PROBE_RATE * seconds;
  const latencies = await probe(bench, { installation, daemon, receiver, count });
  const { count: requests, perListener } = await hole.report();
  const left = await daemon.metric("armorhooks_pending_deliveries");
  check(`the backlog is still there (${left})`, left === HANGING * PENDING_EACH);
  await daemon.stop();
  const slowest = Math.max(...latencies);
  const most = Math.max(...perListener);
  const which = proven ? "a healthy one's" : "a never tried one's";
  return {
    name: `${HANGING} hanging webhooks × ${PENDING_EACH} pending: ${which} new event, p50 and slowest`,
    figure: `${formatMs(percentile(latencies, 0.5))}, ${formatMs(slowest)}`,
    limit: "",
    ratio: "",
    goal: "< 1 s",
    reached: slowest < GOAL_MS,
    note: `${requests} requests went to the hanging ones while it lasted, at most ${most} to one`,
    values: { slowest, p50: percentile(latencies, 0.5), requests, most },
  };
}

interface BacklogInput {
  receiver: Receiver;
  hole: Receiver;
  proven: boolean;
}

/** Stopped, with a backlog for the hanging webhooks; the healthy one comes first and gets the yellow events. */
async function installWithBacklog(bench: Bench, { receiver, hole, proven }: BacklogInput) {
  const [healthy] = webhooksAt(receiver);
  const webhooks = [{ url: healthy?.url ?? "", tier: "yellow" as const }, ...webhooksAt(hole)];
  const installation = await install(bench, { webhooks });
  const { organizationId } = installation;
  if (proven) await probe(bench, { installation, daemon: installation.daemon, receiver, count: 1 });
  await installation.daemon.stop();
  const paused = await installation.start(["--paused"]);
  const scanner = await connectScanner(bench, paused.socket, 1);
  await scanner.flood({ organizationIds: [organizationId], count: PENDING_EACH, deliveriesEach: HANGING });
  await paused.stop();
  return installation;
}

interface ProbeInput {
  installation: Installation;
  daemon: Daemon;
  receiver: Receiver;
  count: number;
}

/** Sends yellow events at a steady pace; milliseconds until each arrived. */
async function probe(bench: Bench, { installation, daemon, receiver, count }: ProbeInput): Promise<number[]> {
  const { organizationId, webhooks } = installation;
  const scanner = await connectScanner(bench, daemon.socket, 1);
  await receiver.expect(count, { sequences: true });
  const input = { organizationId, rate: PROBE_RATE, count, tier: "yellow" as const, deliveriesEach: 1 };
  const sentAt = await scanner.steady(input);
  await receiver.reached([webhooks[0]?.secret ?? ""]);
  return receiver.latencies(sentAt);
}

/** One organization's single events while another floods the same daemon. */
async function besideFlood(bench: Bench): Promise<Line> {
  const flood = bench.size(100_000, 20_000);
  const quiet = await startReceiver(bench);
  const busy = await startReceiver(bench);
  const installation = await install(bench, { webhooks: webhooksAt(busy) });
  const { daemon, organizationId, webhooks } = installation;
  const other = await installation.addOrganization(webhooksAt(quiet));
  const flooder = await connectScanner(bench, daemon.socket, 4);
  const scanner = await connectScanner(bench, daemon.socket, 1);
  const count = bench.size(40, 10);
  await Promise.all([busy.expect(flood), quiet.expect(count, { sequences: true })]);
  const flooding = flooder.flood({ organizationIds: [organizationId], count: flood, deliveriesEach: 1 });
  const single = { organizationId: other.id, rate: 10, count, deliveriesEach: 1 };
  const [sentAt, { startedAt }] = await Promise.all([scanner.steady(single), flooding]);
  await quiet.reached(other.webhooks.map(({ secret }) => secret));
  const latencies = await quiet.latencies(sentAt);
  const { lastAt } = await busy.reached(webhooks.map(({ secret }) => secret));
  await allWritten(daemon);
  await daemon.stop();
  const during = latencies.filter((_, i) => (sentAt[i] ?? 0) < lastAt);
  check(`events were sent during the flood (${during.length})`, during.length > 2);
  const slowest = Math.max(...during);
  return {
    name: `a flood of ${flood.toLocaleString("en")}: another organization's single event, p50 and slowest`,
    figure: `${formatMs(percentile(during, 0.5))}, ${formatMs(slowest)}`,
    limit: "",
    ratio: "",
    goal: "< 1 s",
    reached: slowest < GOAL_MS,
    note: `${during.length} events while the flood took ${((lastAt - startedAt) / 1000).toFixed(1)} s`,
    values: { slowest, p50: percentile(during, 0.5), during: during.length },
  };
}
