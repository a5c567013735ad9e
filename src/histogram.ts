import type { Metric, Registry } from "prom-client";

/** A Prometheus histogram without labels. */
export interface Histogram {
  observe(value: number): void;
}

export interface HistogramOptions {
  name: string;
  help: string;
  /** Upper bounds, ascending. */
  buckets: readonly number[];
  registry: Registry;
}

/**
 * A histogram that prom-client's registry prints as its own. Two observations come with every delivery: with
 * prom-client's they took a twentieth of its time, as it hashes labels and copies them each time.
 */
export function createHistogram({ name, help, buckets, registry }: HistogramOptions): Histogram {
  const counts = new Float64Array(buckets.length + 1);
  let sum = 0;

  const values = () => {
    let below = 0;
    const lines = [...buckets, "+Inf"].map((le, i) => {
      below += counts[i] as number;
      return { metricName: `${name}_bucket`, labels: { le }, value: below };
    });
    const whole = (part: string, value: number) => ({ metricName: `${name}_${part}`, labels: {}, value });
    return [...lines, whole("sum", sum), whole("count", below)];
  };

  const metric = {
    name,
    help,
    get: async () => ({ name, help, type: "histogram", aggregator: "sum", values: values() }),
    reset() {
      counts.fill(0);
      sum = 0;
    },
    type: "histogram",
  };
  registry.registerMetric(metric as unknown as Metric);

  return {
    observe(value) {
      let bucket = 0;
      while (bucket < buckets.length && value > (buckets[bucket] as number)) bucket += 1;
      counts[bucket] = (counts[bucket] as number) + 1;
      sum += value;
    },
  };
}
