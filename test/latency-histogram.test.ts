import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  addLatency,
  addPacked,
  appendLatency,
  type LatencyHistogram,
  newHistogram,
  packHistogram,
  quantile,
} from "../src/latency-histogram.ts";

function histogramOf(durations: readonly number[]): LatencyHistogram {
  const histogram = newHistogram();
  for (const duration of durations) addLatency(histogram, duration);
  return histogram;
}

const durations = fc.array(fc.oneof(fc.nat(20), fc.nat(20_000), fc.nat(700_000)), { minLength: 1 });

describe("a latency histogram", () => {
  test("tells a quantile of what was added, at most 6 % off", () => {
    fc.assert(
      fc.property(durations, fc.constantFrom(0, 0.5, 0.9, 0.99, 1), (values, part) => {
        const sorted = values.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(0, Math.ceil(values.length * part) - 1)] as number;
        const told = quantile(histogramOf(values), part, values.length) as number;
        expect(Math.abs(told - exact)).toBeLessThanOrEqual(Math.max(0.5, exact * 0.0625));
      }),
    );
  });

  test("is exact up to 15 ms", () => {
    for (let ms = 0; ms < 16; ms += 1) expect(quantile(histogramOf([ms]), 0.5, 1)).toBe(ms);
  });

  test("has nothing to tell when it is empty", () => {
    expect(quantile(newHistogram(), 0.5, 0)).toBeNull();
  });

  test("comes out of its bytes as it went in, and adds up", () => {
    fc.assert(
      fc.property(durations, durations, (one, other) => {
        const both = histogramOf(one);
        addPacked(both, packHistogram(histogramOf(other)));
        expect(both).toEqual(histogramOf([...one, ...other]));
      }),
    );
    const large = newHistogram();
    large[0] = 4_000_000_000;
    const read = newHistogram();
    addPacked(read, packHistogram(large));
    expect(read).toEqual(large);
  });

  test("is what its requests one by one come to, appended after what was packed", () => {
    fc.assert(
      fc.property(durations, durations, (one, other) => {
        const packed = [...packHistogram(histogramOf(one))];
        for (const duration of other) appendLatency(packed, duration);
        const read = newHistogram();
        addPacked(read, Uint8Array.from(packed));
        expect(read).toEqual(histogramOf([...one, ...other]));
      }),
    );
  });

  test("has room for whatever is said to be a duration", () => {
    for (const ms of [-1, 0.4, 2 ** 31, 2 ** 53]) expect(quantile(histogramOf([ms]), 0.5, 1)).toBeNumber();
  });

  test("takes a few bytes for a minute of one receiver", () => {
    const minute = Array.from({ length: 10_000 }, (_, i) => 8 + (i % 12));
    expect(packHistogram(histogramOf(minute)).length).toBeLessThan(48);
  });
});
