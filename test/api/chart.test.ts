import { expect, test } from "bun:test";
import { pointsOf, stepsOf } from "../../src/api/chart.ts";
import { addLatency, newHistogram, packHistogram } from "../../src/latency-histogram.ts";

const NOW = Date.parse("2026-01-15T10:07:31.500Z");
const iso = (time: number) => new Date(time).toISOString().slice(11, 16);

test.each([
  [1, 60, "10:07", "10:08"],
  [60, 60, "09:08", "10:08"],
  [144, 60, "07:44", "10:08"],
  [145, 120, "07:42", "10:08"],
  [720, 300, "22:10", "10:10"],
  [1440, 600, "10:10", "10:10"],
])("%d minutes are in steps of %d s, from %s to %s", (minutes, seconds, from, to) => {
  const steps = stepsOf(minutes, NOW);
  expect({ ...steps, from: iso(steps.from), to: iso(steps.to) }).toEqual({
    stepMs: seconds * 1000,
    from,
    to,
  });
  expect(steps.to - steps.from).toBeGreaterThanOrEqual(minutes * 60_000);
  expect((steps.to - steps.from) / steps.stepMs).toBeLessThanOrEqual(144);
});

test("there is a point for each step, also where nothing happened", () => {
  const latencies = newHistogram();
  for (const duration of [1, 3, 5, 10]) addLatency(latencies, duration);
  const row = { attempts: 4, delivered: 2, failed: 2 };
  const rows = [
    { at: 0, ...row, latencies: packHistogram(latencies) },
    { at: 240_000, attempts: 0, delivered: 0, failed: 7, latencies: new Uint8Array() },
  ];
  expect(pointsOf(rows, { from: 0, to: 360_000, stepMs: 120_000 })).toEqual([
    { ...row, p50: 3, p99: 10 },
    { attempts: 0, delivered: 0, failed: 0, p50: null, p99: null },
    { attempts: 0, delivered: 0, failed: 7, p50: null, p99: null },
  ]);
});
