import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { StatisticsPoint } from "../../client/index.ts";
import { count } from "../words.ts";

/**
 * What came of the requests in each step, as bars: delivered, failed for good on top of it so that one is seen, and
 * on top of that the attempts that got nothing through and are made again.
 */
export function Chart({ points, label }: { points: readonly StatisticsPoint[]; label: string }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const data = dataOf(points);
  const latest = useRef(data);
  latest.current = data;

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const draw = (): void => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsFor(element, stepOf(latest.current)), latest.current, element);
    };
    draw();
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    const observer = new ResizeObserver(() =>
      plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }),
    );
    observer.observe(element);
    return () => {
      scheme.removeEventListener("change", draw);
      observer.disconnect();
      plot.current?.destroy();
    };
  }, []);
  useEffect(() => plot.current?.setData(latest.current), [points]);

  const sum = (of: (point: StatisticsPoint) => number): number =>
    points.reduce((total, point) => total + of(point), 0);
  const delivered = sum((point) => point.delivered);
  const failed = sum((point) => point.failed);
  const again = sum(triedAgain);
  const said = `${label}: ${count(delivered, "delivery", "deliveries")} delivered, ${number(failed)} failed, ${count(again, "attempt")} tried again`;
  return (
    <figure class="chart">
      <div ref={box} role="img" aria-label={said} />
      <figcaption>
        <span class="key good">{number(delivered)} delivered</span>
        <span class="key bad">{number(failed)} failed</span>
        {again > 0 && <span class="key warn">{number(again)} tried again</span>}
        <span class="quiet">{label}</span>
      </figcaption>
    </figure>
  );
}

const HEIGHT = 132;

function stepOf([times]: uPlot.AlignedData): number {
  return (times[1] ?? 0) - (times[0] ?? 0) || 60;
}

/** Attempts that ended no delivery. A message that is about many ends more than one, so there may be fewer attempts. */
function triedAgain({ attempts, delivered, failed }: StatisticsPoint): number {
  return Math.max(0, attempts - delivered - failed);
}

function number(value: number): string {
  return value.toLocaleString("en");
}

/** Bars that stand on each other: each series has in it those that are drawn over it. */
function dataOf(points: readonly StatisticsPoint[]): uPlot.AlignedData {
  return [
    points.map(({ at }) => Date.parse(at) / 1000),
    points.map((point) => point.delivered + point.failed + triedAgain(point)),
    points.map(({ delivered, failed }) => delivered + failed),
    points.map(({ delivered }) => delivered),
  ];
}

function optionsFor(element: HTMLElement, stepSeconds: number): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (token: string): string => style.getPropertyValue(token).trim();
  const bars = uPlot.paths.bars?.({ size: [0.72, 24, 1] });
  const series = (token: string): uPlot.Series => ({
    fill: colour(token),
    width: 0,
    points: { show: false },
    ...(bars && { paths: bars }),
  });
  const axis = { stroke: colour("--ink-quiet"), font: `11px ${style.fontFamily}`, ticks: { show: false } };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    padding: [8, 18, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      // Half a step on either side, so that the first bar and the last are whole.
      x: { range: (_plot, min, max) => [min - stepSeconds / 2, max + stepSeconds / 2] },
      y: { range: (_plot, _min, max) => [0, Math.max(max, 1) * 1.08] },
    },
    series: [{}, series("--warn-solid"), series("--bad-solid"), series("--good-solid")],
    axes: [
      { ...axis, size: 22, gap: 4, grid: { show: false }, values: (_plot, times) => times.map(minuteOf) },
      {
        ...axis,
        size: 40,
        gap: 6,
        grid: { stroke: colour("--line"), width: 1 },
        space: 32,
        // A part of an attempt is none.
        values: (_plot, values) => values.map((value) => (Number.isInteger(value) ? compact(value) : "")),
      },
    ],
  };
}

const MINUTE = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const COMPACT = new Intl.NumberFormat("en", { notation: "compact" });

function minuteOf(seconds: number): string {
  return MINUTE.format(seconds * 1000);
}

function compact(value: number): string {
  return COMPACT.format(value);
}
