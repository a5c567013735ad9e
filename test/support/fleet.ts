import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type RunningDaemon, type StartOptions, scan, until } from "./daemon.ts";
import { atEnd, emptyDir, type Registered, receive, startBinary } from "./e2e.ts";
import type { Received, Receiver } from "./receiver.ts";
import { createResendingScanner, type ResendingScanner } from "./resending-scanner.ts";

/** Several daemons on one database, receivers that watch over them, and a scanner for each daemon. */

const TIERS = ["red", "yellow", "green"] as const;

/** A webhook's receiver that knows what is in flight to it. */
export interface Watched {
  receiver: Receiver;
  webhook: Registered;
  tier: (typeof TIERS)[number];
  /** The most requests that were in flight at once. */
  most: number;
}

export interface Fleet {
  url: string;
  daemons: RunningDaemon[];
  scanners: ResendingScanner[];
  watched: Watched[];
  /** Starts one more daemon; with the directory of one before it, in that one's place. */
  start(dir?: string, more?: Pick<StartOptions, "env">): Promise<RunningDaemon>;
  args: string[];
}

/** One request at a time to each webhook: two at once come from two daemons. */
const ARGS =
  "--webhook-concurrency 1 --retry-min-delay 50ms --retry-factor 1 --log-level warn --shutdown-timeout 10s".split(
    " ",
  );

export interface FleetOptions {
  url: string;
  daemons: number;
  events: number;
  webhooks: number;
  /** How long a receiver takes at most. */
  answerMs?: number;
}

/** Events are shared out among the scanners, of which each daemon has one; each event goes to a third of the webhooks. */
export async function startFleet({
  url,
  daemons,
  events,
  webhooks,
  answerMs = 4,
}: FleetOptions): Promise<Fleet> {
  const keyFile = join(emptyDir(), "secret.key");
  writeFileSync(keyFile, "a7".repeat(32));
  const args = ["--database", url, "--secret-key-file", keyFile, ...ARGS];
  const fleet: Fleet = {
    url,
    args,
    daemons: [],
    scanners: [],
    watched: [],
    async start(dir = emptyDir(), more = {}) {
      const [first] = fleet.daemons;
      const known = first && { key: first.key, organizationId: first.organizationId };
      return startBinary({ dir, args, ...known, ...more });
    },
  };
  for (let i = 0; i < daemons; i += 1) fleet.daemons.push(await fleet.start());
  for (let i = 0; i < webhooks; i += 1) {
    fleet.watched.push(
      await watch(fleet.daemons[0] as RunningDaemon, TIERS[i % 3] as Watched["tier"], answerMs),
    );
  }
  const lines = Array.from({ length: events }, (_, i) =>
    JSON.stringify(scan({ id: `scan-${i}`, latency_ms: i, tier: TIERS[i % 3] })),
  );
  for (let i = 0; i < daemons; i += 1) {
    const own = createResendingScanner(lines.filter((_, n) => n % daemons === i));
    fleet.scanners.push(own);
    atEnd(() => own.close());
    own.connect((fleet.daemons[i] as RunningDaemon).socket);
  }
  // What was made through one daemon is known to the others within a second.
  await Bun.sleep(1_000);
  return fleet;
}

async function watch(daemon: RunningDaemon, tier: Watched["tier"], answerMs: number): Promise<Watched> {
  let inFlight = 0;
  const receiver = receive(async () => {
    inFlight += 1;
    watched.most = Math.max(watched.most, inFlight);
    await Bun.sleep(Math.random() * answerMs);
    inFlight -= 1;
    return new Response();
  });
  const body = { url: receiver.url, events: [`${tier}_tier`] };
  const answer = await daemon.api("POST", "/v1/webhooks", body);
  if (answer.status !== 201) throw new Error(`${answer.status}: ${JSON.stringify(answer.body)}`);
  const watched: Watched = { receiver, webhook: answer.body.webhook, tier, most: 0 };
  return watched;
}

/** Lets every scanner send up to a share of its lines. */
export function allow({ scanners }: Fleet, share: number, events: number): void {
  for (const scanner of scanners) scanner.allow(Math.floor((events / scanners.length) * share));
}

export const idOf = ({ headers }: Received): string => headers["webhook-id"] as string;

/** Waits until all is acked and has arrived. */
export async function untilAllArrived(fleet: Fleet, events: number, timeoutMs = 60_000): Promise<void> {
  const acked = () => fleet.scanners.reduce((sum, scanner) => sum + scanner.acked.size, 0);
  await until("every line is acked", () => acked() >= events, timeoutMs).catch((error) => {
    throw new Error(`${error.message}: ${acked()} of ${events}`);
  });
  const each = Math.floor(events / 3);
  for (const { receiver, tier } of fleet.watched) {
    const arrived = () => new Set(receiver.received.map(idOf)).size;
    await until(
      "every event has arrived",
      () => receiver.received.length >= each && arrived() >= each,
      timeoutMs,
    ).catch((error) => {
      throw new Error(`${error.message}: ${arrived()} of ${each} (${tier})`);
    });
  }
}

export interface Tally {
  /** Requests beyond the first for an event, all webhooks together. */
  repeats: number;
  resent: number;
  duplicates: number;
}

/** Throws unless each webhook got what was acked of its tier, and nothing else, and never from two daemons at once. */
export function checkArrivals({ scanners, watched }: Fleet): Tally {
  /** Event ids by the number of their lines. */
  const ids = new Map<number, string>();
  for (const [offset, scanner] of scanners.entries()) {
    for (const [index, id] of scanner.acked) ids.set(index * scanners.length + offset, id);
  }
  let repeats = 0;
  for (const { receiver, tier, most } of watched) {
    const arrived = new Set<string>();
    for (const request of receiver.received) {
      const { latency_ms: line, tier: sent } = JSON.parse(request.body);
      const id = idOf(request);
      if (sent !== tier) throw new Error(`${sent} arrived where ${tier} is wanted`);
      if (ids.get(line) !== id)
        throw new Error(`line ${line} arrived as ${id}, and was acked as ${ids.get(line)}`);
      if (arrived.has(id)) repeats += 1;
      arrived.add(id);
    }
    const wanted = [...ids].filter(([line]) => TIERS[line % 3] === tier).length;
    if (arrived.size !== wanted) throw new Error(`${arrived.size} of ${wanted} have arrived`);
    if (most > 1) throw new Error(`${most} requests were in flight at once: two daemons have sent`);
  }
  const sum = (of: (scanner: ResendingScanner) => number): number =>
    scanners.reduce((total, scanner) => total + of(scanner), 0);
  return { repeats, resent: sum((one) => one.resent), duplicates: sum((one) => one.duplicates) };
}
