/**
 * How long requests took, in few bytes: counts by duration, in buckets that are exact up to 15 ms and 1/8 of a power
 * of two wide beyond, so that what is told of them is at most 6 % off (as in HdrHistogram and DDSketch).
 */
export type LatencyHistogram = Uint32Array;

/** Buckets to a power of two. */
const PARTS = 8;
const PART_BITS = 3;
const BUCKETS = 29 * PARTS;

function bucketOf(milliseconds: number): number {
  const value = Math.max(0, Math.min(0x7fffffff, Math.round(milliseconds)));
  if (value < PARTS) return value;
  const octave = 31 - Math.clz32(value) - PART_BITS;
  return (octave + 1) * PARTS + ((value >>> octave) & (PARTS - 1));
}

/** The middle of a bucket. */
function middleOf(bucket: number): number {
  if (bucket < 2 * PARTS) return bucket;
  const octave = Math.floor(bucket / PARTS) - 1;
  const low = (PARTS + (bucket % PARTS)) * 2 ** octave;
  return Math.round(low + (2 ** octave - 1) / 2);
}

export function newHistogram(): LatencyHistogram {
  return new Uint32Array(BUCKETS);
}

export function addLatency(histogram: LatencyHistogram, milliseconds: number): void {
  const bucket = bucketOf(milliseconds);
  histogram[bucket] = (histogram[bucket] as number) + 1;
}

/** Milliseconds that a part (0 to 1) of `total` requests did not exceed; null without any. */
export function quantile(histogram: LatencyHistogram, part: number, total: number): number | null {
  let left = Math.max(1, Math.ceil(total * part));
  for (let bucket = 0; bucket < histogram.length; bucket += 1) {
    left -= histogram[bucket] as number;
    if (left <= 0) return middleOf(bucket);
  }
  return null;
}

/** Bytes for keeping: buckets and counts in turn, each as LEB128. */
export function packHistogram(histogram: LatencyHistogram): Uint8Array {
  const bytes: number[] = [];
  for (let bucket = 0; bucket < histogram.length; bucket += 1) {
    const count = histogram[bucket] as number;
    if (count > 0) {
      append(bytes, bucket);
      append(bytes, count);
    }
  }
  return Uint8Array.from(bytes);
}

/** The same of one request alone, after what is packed already: one histogram after the other is their sum. */
export function appendLatency(packed: number[], milliseconds: number): void {
  append(packed, bucketOf(milliseconds));
  packed.push(1);
}

function append(bytes: number[], number: number): void {
  let value = number;
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80);
  bytes.push(value);
}

/** Adds what was packed. */
export function addPacked(into: LatencyHistogram, bytes: Uint8Array): void {
  let at = 0;
  const long = (first: number): number => {
    let value = first & 0x7f;
    for (let scale = 0x80; ; scale *= 0x80) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    // Most are one byte long.
    let bucket = bytes[at++] as number;
    if (bucket >= 0x80) bucket = long(bucket);
    let count = bytes[at++] as number;
    if (count >= 0x80) count = long(count);
    into[bucket] = (into[bucket] as number) + count;
  }
}
