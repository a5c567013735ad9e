import { median } from "./statistics.ts";

export interface Pairs {
  /** Medians. */
  ours: number;
  limit: number;
  /** Median of ours / limit, each from one pair. */
  ratio: number;
  /** Median of ours - limit. */
  difference: number;
}

/** Measures both in turn, so that what else the machine does falls on both, and takes the ratio pair by pair. */
export async function measurePairs(
  rounds: number,
  ours: () => Promise<number>,
  limit: () => Promise<number>,
): Promise<Pairs> {
  const pairs: { ours: number; limit: number }[] = [];
  for (let round = 0; round < rounds; round += 1) pairs.push({ ours: await ours(), limit: await limit() });
  return {
    ours: median(pairs.map((pair) => pair.ours)),
    limit: median(pairs.map((pair) => pair.limit)),
    ratio: median(pairs.map((pair) => pair.ours / pair.limit)),
    difference: median(pairs.map((pair) => pair.ours - pair.limit)),
  };
}
