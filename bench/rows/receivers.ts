import type { Bench, Line, Row } from "../support/bench.ts";
import { formatRatio, measurePairs } from "../support/pairs.ts";
import type { Behaviour } from "../support/programs/receiver.ts";
import { startReceiver } from "../support/receiver.ts";
import { drain, webhooksAt } from "../support/scenarios.ts";
import { formatRate } from "../support/statistics.ts";

const FAR = { kind: "distant", milliseconds: 100 } as const satisfies Behaviour;
const LOADED: Behaviour = { kind: "loaded", milliseconds: 1 };
const FIXED_WINDOWS = [1, 2, 4, 8, 16, 32] as const;

/** Receivers as they are: far away, slower the more they have, limited. */
export const receiversRow: Row = {
  name: "receivers",
  run: async (bench) => [
    await manyFarAway(bench),
    await oneFarAway(bench),
    await slowedDown(bench),
    await oneASecond(bench),
  ],
};

interface Run {
  ports: number;
  events: number;
  behaviour: Behaviour | null;
  args?: readonly string[];
}

/** Deliveries a second from the first request to the last. */
async function rateOf(bench: Bench, { ports, events, behaviour, args = [] }: Run) {
  const receiver = await startReceiver(bench, { ports, behaviour });
  return drain(bench, { receiver, events, webhooks: webhooksAt(receiver), args });
}

/** Requests that may be in flight to webhooks that have some already (src/delivery/slots.ts). */
const SLOTS = 4_096 - 512;
const FAR_MOST = (SLOTS * 1_000) / FAR.milliseconds;

async function manyFarAway(bench: Bench): Promise<Line> {
  const run = { ports: 50, events: bench.size(6_000, 200) };
  const pairs = await measurePairs(
    bench.rounds,
    async () => (await rateOf(bench, { ...run, behaviour: FAR })).rateWithoutStart,
    async () => (await rateOf(bench, { ...run, behaviour: null })).rateWithoutStart,
  );
  const ofMost = pairs.ours / FAR_MOST;
  return {
    name: "50 webhooks 100 ms away",
    figure: formatRate(pairs.ours),
    limit: `the same at 0 ms ${formatRate(pairs.limit)}`,
    ratio: formatRatio(pairs),
    goal: "≥ 0.8",
    reached: pairs.ratio >= 0.8,
    note: `${ofMost.toFixed(2)} of ${formatRate(FAR_MOST)}: what ${SLOTS.toLocaleString("en")} requests in flight come to at 100 ms`,
    values: { ...pairs, ofMost },
  };
}

async function oneFarAway(bench: Bench): Promise<Line> {
  const { rateWithoutStart } = await rateOf(bench, {
    ports: 1,
    events: bench.size(30_000, 2_000),
    behaviour: FAR,
  });
  return {
    name: "one webhook 100 ms away",
    figure: formatRate(rateWithoutStart),
    limit: "256 at once: 2,560/s",
    ratio: (rateWithoutStart / 2_560).toFixed(2),
    goal: "≥ 2,000/s",
    reached: rateWithoutStart >= 2_000,
    values: { rate: rateWithoutStart },
  };
}

async function slowedDown(bench: Bench): Promise<Line> {
  const run = { ports: 1, events: bench.size(8_000, 1_000), behaviour: LOADED };
  const fixed: number[] = [];
  for (const window of FIXED_WINDOWS) {
    const args = ["--webhook-concurrency", String(window)];
    fixed.push((await rateOf(bench, { ...run, args })).rateWithoutStart);
  }
  const best = Math.max(...fixed);
  const { rateWithoutStart } = await rateOf(bench, run);
  const ratio = rateWithoutStart / best;
  return {
    name: "one whose answers take 1 ms for each request it has",
    figure: formatRate(rateWithoutStart),
    limit: `best fixed window (${FIXED_WINDOWS[fixed.indexOf(best)]}) ${formatRate(best)}`,
    ratio: ratio.toFixed(2),
    goal: "≥ 0.9",
    reached: ratio >= 0.9,
    values: { rate: rateWithoutStart, best, ratio },
  };
}

async function oneASecond(bench: Bench): Promise<Line> {
  const events = bench.size(200, 10);
  const behaviour: Behaviour = { kind: "limited", milliseconds: 1_000 };
  const { report } = await rateOf(bench, { ports: 1, events, behaviour });
  const seconds = (report.lastAt - report.firstAt) / 1_000;
  const ratio = seconds / (events - 1);
  return {
    name: `${events} events for one that takes one a second`,
    figure: `${seconds.toFixed(0)} s, ${report.refused} refused`,
    limit: `${events - 1} s`,
    ratio: ratio.toFixed(2),
    goal: "≤ 1.05",
    reached: ratio <= 1.05,
    values: { seconds, ratio, refused: report.refused },
  };
}
