import { addPacked, newHistogram, quantile } from "../latency-histogram.ts";
import type { WebhookStep } from "../store/statistics.ts";

/** A range of time in steps of equal length, as charts want it. */
export interface Steps {
  /** Wall times, milliseconds since 1970: the first step's begin, and the last one's end. */
  from: number;
  to: number;
  stepMs: number;
}

export interface Point {
  attempts: number;
  delivered: number;
  failed: number;
  /** Milliseconds; null where there was no attempt. */
  p50: number | null;
  p99: number | null;
}

const MINUTE_MS = 60_000;
/** A chart shows no more: with more, each of many webhooks would have a long answer. */
const MAX_POINTS = 144;
const STEP_MINUTES = [1, 2, 5, 10];

/** The latest steps that hold so many minutes, the present one included; steps begin at round times. */
export function stepsOf(minutes: number, now: number): Steps {
  const length = STEP_MINUTES.find((step) => minutes / step <= MAX_POINTS) ?? 10;
  const stepMs = length * MINUTE_MS;
  const to = (Math.floor(now / stepMs) + 1) * stepMs;
  return { from: to - Math.ceil(minutes / length) * stepMs, to, stepMs };
}

/** When each step begins. */
export function timesOf({ from, to, stepMs }: Steps): number[] {
  return Array.from({ length: (to - from) / stepMs }, (_, i) => from + i * stepMs);
}

/** One point for each step, those included in which nothing happened. */
export function pointsOf(rows: readonly WebhookStep[], steps: Steps): Point[] {
  const byTime = new Map(rows.map((row) => [row.at, row]));
  return timesOf(steps).map((at) => pointOf(byTime.get(at)));
}

function pointOf(row: WebhookStep | undefined): Point {
  if (!row) return { attempts: 0, delivered: 0, failed: 0, p50: null, p99: null };
  const { attempts, delivered, failed } = row;
  const latencies = newHistogram();
  addPacked(latencies, row.latencies);
  const p50 = quantile(latencies, 0.5, attempts);
  return { attempts, delivered, failed, p50, p99: quantile(latencies, 0.99, attempts) };
}
