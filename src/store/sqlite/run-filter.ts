/**
 * Tells which of up to 32 runs may hold a hash: 32 Bloom filters side by side, so that one read answers for
 * all of them (bit-sliced signatures, as in BitFunnel). A hash has PROBES places in a table of 32-bit words;
 * run number n may hold it only where bit n is set in every one of them.
 */
export interface RunFilter {
  /** Notes that a run (0 to 31) holds a hash. */
  add(run: number, hash: number): void;
  /** A bit for each run that may hold a hash; a run without it does not. */
  runsOf(hash: number): number;
  /** For keeping it. */
  bytes(): Uint8Array;
}

export const RUNS_IN_FILTER = 32;
/** Words of 32 bits: 4 MB. With 49,152 hashes a run, one run in 10,000 is named in vain. */
const WORDS = 2 ** 20;
const MASK = WORDS - 1;
const PROBES = 8;

/** Knuth's multiplicative hash. */
const GOLDEN = 0x9e3779b1;

/** How far apart the places of a hash are. Of the product's upper bits, as only those depend on every bit of the hash. */
function stepOf(hash: number): number {
  return (Math.imul(hash, GOLDEN) >>> 12) | 1;
}

export function createRunFilter(kept?: Uint8Array): RunFilter {
  const words = new Uint32Array(WORDS);
  if (kept) new Uint8Array(words.buffer).set(kept);
  return {
    add(run, hash) {
      const step = stepOf(hash);
      const bit = 1 << run;
      let place = hash;
      for (let i = 0; i < PROBES; i += 1) {
        words[place & MASK] = (words[place & MASK] as number) | bit;
        place = (place + step) | 0;
      }
    },
    runsOf(hash) {
      const step = stepOf(hash);
      let runs = -1;
      let place = hash;
      // Most often no run is left after a few.
      for (let i = 0; i < PROBES && runs !== 0; i += 1) {
        runs &= words[place & MASK] as number;
        place = (place + step) | 0;
      }
      return runs;
    },
    bytes: () => new Uint8Array(words.buffer),
  };
}
