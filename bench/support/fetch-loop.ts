import { type Bench, check, within } from "./bench.ts";
import type { Measured } from "./pairs.ts";
import { costOf, processorTime } from "./processor-time.ts";
import type { FetchLoopMethods, FetchTarget } from "./programs/fetch-loop.ts";
import type { Receiver } from "./receiver.ts";
import { perSecond } from "./statistics.ts";

/** The bare `fetch` loop in a process of its own, sending to the same receiver. */
export interface FetchLoop {
  /** Requests a second, from the first one begun until the last one received. */
  rate(count: number): Promise<Measured>;
  /** Milliseconds from each request begun to its arrival. */
  latencies(input: { rate: number; count: number }): Promise<number[]>;
}

export interface FetchLoopOptions {
  receiver: Receiver;
  targets: FetchTarget[];
  ca?: string;
}

const IN_FLIGHT = 64;
const LONGEST_MS = 300_000;

/** A secret of the documented form, for requests that no daemon signs. */
export const SECRET = "0123456789abcdef".repeat(4);

/** Every flood has a new process, as every drain has. */
export function bareFetch(bench: Bench, { receiver, targets, ca }: FetchLoopOptions): FetchLoop {
  const secrets = targets.map(({ secret }) => secret);
  const perPort = receiver.ports.map((_, i) => secrets[i] ?? SECRET);
  const prepared = async () => {
    const program = bench.program<FetchLoopMethods>("fetch-loop");
    await program.call("prepare", { targets, ca });
    return program;
  };
  return {
    async rate(count) {
      await receiver.expect(count);
      const { pid, call, stop } = await prepared();
      const used = processorTime(pid);
      const flood = call("flood", { count, inFlight: IN_FLIGHT });
      const { startedAt, failed } = await within("the bare fetch loop", LONGEST_MS, flood);
      check(`no request of the bare loop failed (${failed})`, failed === 0);
      const { lastAt } = await receiver.reached(perPort);
      const cpuUs = costOf(pid, used, count);
      await stop();
      return { rate: perSecond(count, lastAt - startedAt), cpuUs };
    },
    async latencies({ rate, count }) {
      await receiver.expect(count, { sequences: true });
      const { call, stop } = await prepared();
      const { sentAt, failed } = await within(
        "the bare fetch loop",
        (count / rate) * 1_000 + LONGEST_MS,
        call("steady", { rate, count }),
      );
      check(`no request of the bare loop failed (${failed})`, failed === 0);
      await receiver.reached(perPort);
      await stop();
      return receiver.latencies(sentAt);
    },
  };
}
