import { join } from "node:path";
import { type Bench, check, within } from "./bench.ts";
import { SECRET } from "./fetch-loop.ts";
import type { Measured } from "./pairs.ts";
import { costOf, processorTime } from "./processor-time.ts";
import type { OwnLoopMethods, OwnLoopWebhook } from "./programs/own-loop.ts";
import type { Receiver, SecretOf } from "./receiver.ts";
import { perSecond } from "./statistics.ts";

const IN_FLIGHT = 64;
const LONGEST_MS = 300_000;

export interface OwnLoopOptions {
  count: number;
  withRows: boolean;
  /** Sent to in turn; one at the receiver's first port when there are none. */
  webhooks?: readonly OwnLoopWebhook[];
  /** Where each has a secret of its own. */
  secretOf?: SecretOf;
}

/** The daemon's transport and signatures alone, and, with rows, its store beside them (programs/own-loop.ts). */
export async function ownLoop(
  bench: Bench,
  receiver: Receiver,
  {
    count,
    withRows,
    webhooks = [{ url: `http://127.0.0.1:${receiver.ports[0]}/hook`, secret: SECRET }],
    secretOf = () => SECRET,
  }: OwnLoopOptions,
): Promise<Measured> {
  await receiver.expect(count);
  const { pid, call, stop } = bench.program<OwnLoopMethods>("own-loop");
  await call("ready");
  const used = processorTime(pid);
  const dataDir = withRows ? join(bench.newDir(), "data") : null;
  const run = call("flood", { webhooks, count, inFlight: IN_FLIGHT, dataDir });
  const { startedAt, failed } = await within("the bare loop over our transport", LONGEST_MS, run);
  check(`no request of it failed (${failed})`, failed === 0);
  const { lastAt } = await receiver.reached(secretOf);
  const cpuUs = costOf(pid, used, count);
  await stop();
  return { rate: perSecond(count, lastAt - startedAt), cpuUs };
}
