import { type Bench, check } from "./bench.ts";
import { type Installation, install, type WebhookInput } from "./installation.ts";
import type { Measured } from "./pairs.ts";
import { costOf, processorTime } from "./processor-time.ts";
import type { Report } from "./programs/receiver.ts";
import type { Receiver } from "./receiver.ts";
import { connectScanner } from "./scanner.ts";
import { perSecond } from "./statistics.ts";

export interface RunOptions {
  receiver: Receiver;
  events: number;
  /** One per port of the receiver, in the same order. */
  webhooks: readonly WebhookInput[];
  args?: readonly string[];
}

export interface DrainResult extends Measured {
  /** Deliveries a second from the start of the process; its processor time too is all that it used. */
  rate: number;
  /** The same from the first request on. */
  rateWithoutStart: number;
  report: Report;
}

/** Stores events while paused, stops, and times a start until the receiver has the last request. */
export async function drain(
  bench: Bench,
  { receiver, events, ...options }: RunOptions,
): Promise<DrainResult> {
  const installation = await install(bench, { ...options, paused: true });
  await seed(bench, installation, events);
  const count = events * installation.webhooks.length;
  await receiver.expect(count);
  const daemon = await installation.start();
  const report = await receiver.reached(installation.webhooks.map(({ secret }) => secret));
  const cpuUs = costOf(daemon.pid, 0, count);
  await allWritten(daemon);
  await daemon.stop();
  return {
    cpuUs,
    rate: perSecond(count, report.lastAt - daemon.spawnedAt),
    rateWithoutStart: perSecond(count, report.lastAt - report.firstAt),
    report,
  };
}

/** Stores events through a daemon that makes no attempts, and stops it. */
export async function seed(bench: Bench, installation: Installation, events: number): Promise<void> {
  const { daemon, organizationId, webhooks } = installation;
  const scanner = await connectScanner(bench, daemon.socket);
  await scanner.flood({ organizationIds: [organizationId], count: events, deliveriesEach: webhooks.length });
  await daemon.stop();
}

/** Deliveries a second from the first byte on the socket until the receiver has the last request. */
export async function wholeWay(
  bench: Bench,
  { receiver, events, ...options }: RunOptions,
): Promise<Measured> {
  const installation = await install(bench, options);
  return wholeWayThrough(bench, installation, { receiver, events });
}

/** The same through a daemon that runs already, which it stops. The webhooks are those that get the events. */
export async function wholeWayThrough(
  bench: Bench,
  { daemon, organizationId, webhooks }: Pick<Installation, "daemon" | "organizationId" | "webhooks">,
  { receiver, events }: Pick<RunOptions, "receiver" | "events">,
): Promise<Measured> {
  const scanner = await connectScanner(bench, daemon.socket);
  const count = events * webhooks.length;
  await receiver.expect(count);
  const used = processorTime(daemon.pid);
  const { startedAt } = await scanner.flood({
    organizationIds: [organizationId],
    count: events,
    deliveriesEach: webhooks.length,
  });
  const { lastAt } = await receiver.reached(webhooks.map(({ secret }) => secret));
  await allWritten(daemon);
  const cpuUs = costOf(daemon.pid, used, count);
  await daemon.stop();
  return { rate: perSecond(count, lastAt - startedAt), cpuUs };
}

const WRITTEN_MS = 10_000;

/** Nothing may be left: what arrived has also been written down as delivered. */
export async function allWritten(daemon: Installation["daemon"]): Promise<void> {
  const end = performance.now() + WRITTEN_MS;
  let pending = await daemon.metric("armorhooks_pending_deliveries");
  while (pending > 0 && performance.now() < end) {
    await Bun.sleep(20);
    pending = await daemon.metric("armorhooks_pending_deliveries");
  }
  check(`no delivery is left pending (${pending})`, pending === 0);
}

/** Webhooks at each port of a receiver. */
export function webhooksAt({ ports }: Receiver, origin = "http://127.0.0.1"): WebhookInput[] {
  return ports.map((port) => ({ url: `${origin}:${port}/hook` }));
}
