/** One that takes longer hangs, or is far away: it costs no processor time meanwhile. */
const YOUNG_MS = 1_000;
const SLICES = 8;
const SLICE_MS = YOUNG_MS / SLICES;

/** How many TLS connections are being opened, of those that were begun lately. */
export interface Handshakes {
  /** Answers what `end` has to be told. */
  begin(now: number): number;
  end(begunIn: number): void;
  /** Those that were begun in the latest second, and have not ended. */
  underWay(now: number): number;
}

/** Counts them by the slice of time in which they began, since thousands may hang and none is looked for. */
export function createHandshakes(): Handshakes {
  const counts = new Array<number>(SLICES).fill(0);
  let slice = 0;
  let sum = 0;

  const turnTo = (now: number): void => {
    const present = Math.floor(now / SLICE_MS);
    slice = Math.max(slice, present - SLICES);
    while (slice < present) {
      slice += 1;
      sum -= counts[slice % SLICES] as number;
      counts[slice % SLICES] = 0;
    }
  };

  const add = (count: number, begunIn: number): void => {
    counts[begunIn % SLICES] = (counts[begunIn % SLICES] as number) + count;
    sum += count;
  };

  return {
    begin(now) {
      turnTo(now);
      add(1, slice);
      return slice;
    },
    end(begunIn) {
      if (slice - begunIn < SLICES) add(-1, begunIn);
    },
    underWay(now) {
      turnTo(now);
      return sum;
    },
  };
}
