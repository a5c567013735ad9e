import { median } from "./statistics.ts";

/** What one run came to; the processor time where it was measured. */
export interface Measured {
  rate: number;
  /** Microseconds of processor time for each event, of all threads of the process that is measured. */
  cpuUs: number;
}

export interface Pairs {
  /** Medians. */
  ours: number;
  limit: number;
  /** Median of ours / limit, each from one pair. */
  ratio: number;
  /** The least and the largest of these. */
  least: number;
  largest: number;
  /** Median of ours - limit. */
  difference: number;
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
  const ratios = pairs.map((pair) => pair.ours.rate / pair.limit.rate);
  return {
    ours: median(pairs.map((pair) => pair.ours.rate)),
    limit: median(pairs.map((pair) => pair.limit.rate)),
    ratio: median(ratios),
    least: Math.min(...ratios),
    largest: Math.max(...ratios),
    difference: median(pairs.map((pair) => pair.ours.rate - pair.limit.rate)),
    oursUs: median(pairs.map((pair) => pair.ours.cpuUs)),
    limitUs: median(pairs.map((pair) => pair.limit.cpuUs)),
  };
}

function toMeasured(result: number | Measured): Measured {
  return typeof result === "number" ? { rate: result, cpuUs: Number.NaN } : result;
}

/** The ratio with its spread: a goal within that is neither reached nor missed for certain. */
export function formatRatio({ ratio, least, largest }: Pick<Pairs, "ratio" | "least" | "largest">): string {
  const spread = least === largest ? "" : ` (${least.toFixed(2)}–${largest.toFixed(2)})`;
  return `${ratio.toFixed(2)}${spread}`;
}

/** Processor time for each event, ours beside the limit's. */
export function formatCost({ oursUs, limitUs }: Pick<Pairs, "oursUs" | "limitUs">): string {
  return [oursUs, limitUs].map((us) => (Number.isNaN(us) ? "–" : us.toFixed(1))).join(" / ");
}
