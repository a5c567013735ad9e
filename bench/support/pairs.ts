import { median } from "./statistics.ts";

/** What one run came to; the processor time where it was measured. */
export interface Measured {
  rate: number;
  /** Microseconds of processor time for each event, of all threads of the process that is measured. */
  cpuUs: number;
}

/** Of several ratios: the median, and how certain that is. */
export interface Spread {
  ratio: number;
  least: number;
  largest: number;
}

/** The ratios are of ours / limit, each from one pair. */
export interface Pairs extends Spread {
  /** Medians. */
  ours: number;
  limit: number;
  /** Of ours - limit: the median, the least and the largest. */
  difference: number;
  leastDifference: number;
  largestDifference: number;
  /** Medians of the processor time for each event, microseconds; not a number where it was not measured. */
  oursUs: number;
  limitUs: number;
}

type Run = () => Promise<number | Measured>;

/** Measures both in turn, so that what else the machine does falls on both, and takes the ratio pair by pair. */
export async function measurePairs(rounds: number, ours: Run, limit: Run): Promise<Pairs> {
  const pairs: { ours: Measured; limit: Measured }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    pairs.push({ ours: toMeasured(await ours()), limit: toMeasured(await limit()) });
  }
  const differences = pairs.map((pair) => pair.ours.rate - pair.limit.rate);
  return {
    ...spreadOf(pairs.map((pair) => pair.ours.rate / pair.limit.rate)),
    ours: median(pairs.map((pair) => pair.ours.rate)),
    limit: median(pairs.map((pair) => pair.limit.rate)),
    difference: median(differences),
    leastDifference: Math.min(...differences),
    largestDifference: Math.max(...differences),
    oursUs: median(pairs.map((pair) => pair.ours.cpuUs)),
    limitUs: median(pairs.map((pair) => pair.limit.cpuUs)),
  };
}

/** Medians of several runs, and the rate of each. */
export interface Runs extends Measured {
  rates: readonly number[];
}

/** Measures the same thing so many times. */
export async function measureRuns(rounds: number, run: Run): Promise<Runs> {
  const all: Measured[] = [];
  for (let round = 0; round < rounds; round += 1) all.push(toMeasured(await run()));
  const rates = all.map(({ rate }) => rate);
  return { rates, rate: median(rates), cpuUs: median(all.map(({ cpuUs }) => cpuUs)) };
}

export function spreadOf(ratios: readonly number[]): Spread {
  return { ratio: median(ratios), least: Math.min(...ratios), largest: Math.max(...ratios) };
}

function toMeasured(result: number | Measured): Measured {
  return typeof result === "number" ? { rate: result, cpuUs: Number.NaN } : result;
}

/** The ratio with its spread: a goal within that is neither reached nor missed for certain. */
export function formatRatio({ ratio, least, largest }: Spread): string {
  const spread = least === largest ? "" : ` (${least.toFixed(2)}–${largest.toFixed(2)})`;
  return `${ratio.toFixed(2)}${spread}`;
}

/** Processor time for each event, ours beside the limit's. */
export function formatCost({ oursUs, limitUs }: Pick<Pairs, "oursUs" | "limitUs">): string {
  return [oursUs, limitUs].map((us) => (Number.isNaN(us) ? "–" : us.toFixed(1))).join(" / ");
}
