import { join } from "node:path";
import { type Bench, check, within } from "./bench.ts";
import { SECRET } from "./fetch-loop.ts";
import type { Measured } from "./pairs.ts";
import { costOf, processorTime } from "./processor-time.ts";
import type { OwnLoopMethods, OwnLoopWebhook, OwnRows } from "./programs/own-loop.ts";
import type { Receiver, SecretOf } from "./receiver.ts";
import { perSecond } from "./statistics.ts";

const IN_FLIGHT = 64;
const LONGEST_MS = 300_000;

export interface OwnLoopOptions {
  count: number;
  /** Null to store nothing. */
  rows: OwnRows | null;
  /** Sent to in turn; one at the receiver's first port when there are none. */
  webhooks?: readonly OwnLoopWebhook[];
  /** Where each has a secret of its own. */
  secretOf?: SecretOf;
}

const first = ({ ports }: Receiver): OwnLoopWebhook => ({
  url: `http://127.0.0.1:${ports[0]}/hook`,
  secret: SECRET,
});

/** A new data directory, for a loop that stores what it sends. */
export function newRows(bench: Bench): OwnRows {
  return { dataDir: join(bench.newDir(), "data"), from: "new events" };
}

/** The daemon's transport and signatures alone, and, with rows, its store beside them (programs/own-loop.ts). */
export async function ownLoop(
  bench: Bench,
  receiver: Receiver,
  { count, rows, webhooks = [first(receiver)], secretOf = () => SECRET }: OwnLoopOptions,
): Promise<Measured> {
  await receiver.expect(count);
  const { pid, call, stop } = bench.program<OwnLoopMethods>("own-loop");
  await call("ready");
  const used = processorTime(pid);
  const run = call("flood", { webhooks, count, inFlight: IN_FLIGHT, rows });
  const { startedAt, failed } = await within("the bare loop over our transport", LONGEST_MS, run);
  check(`no request of it failed (${failed})`, failed === 0);
  const { lastAt } = await receiver.reached(secretOf);
  const cpuUs = costOf(pid, used, count);
  await stop();
  return { rate: perSecond(count, lastAt - startedAt), cpuUs };
}

/** Milliseconds from each event, which is stored, synced and sent, to its arrival, so many a second. */
export async function ownLatencies(
  bench: Bench,
  receiver: Receiver,
  { rate, count }: { rate: number; count: number },
): Promise<number[]> {
  await receiver.expect(count, { sequences: true });
  const { call, stop } = bench.program<OwnLoopMethods>("own-loop");
  const { dataDir } = newRows(bench);
  const run = call("steady", { webhook: first(receiver), rate, count, dataDir });
  const planned = (count / rate) * 1_000;
  const { sentAt, failed } = await within("our transport and rows", planned + LONGEST_MS, run);
  check(`no request of it failed (${failed})`, failed === 0);
  await receiver.reached(() => SECRET);
  await stop();
  return receiver.latencies(sentAt);
}
