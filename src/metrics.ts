import { Counter, Gauge, type Metric, Registry } from "prom-client";
import { ATTEMPT_ERRORS } from "./outcomes.ts";
import { TIERS } from "./scan-words.ts";

/** Readings that are taken when the metrics are asked for. */
export interface GaugeSources {
  pendingDeliveries: () => Promise<number>;
  /** Seconds; 0 when nothing is pending. */
  oldestPendingSeconds: () => Promise<number>;
  socketConnections: () => number;
  requestsInFlight: () => number;
  webhooksWaiting: () => number;
  databaseBytes: () => Promise<number>;
  storeWritable: () => boolean;
}

export type Metrics = ReturnType<typeof createMetrics>;

/** Every value of every label, so that each series is there from the start and its first increase is seen. */
const LABELS = {
  tier: TIERS,
  code: ["VALIDATION_ERROR", "PAYLOAD_TOO_LARGE", "NOT_FOUND", "UNAVAILABLE"],
  outcome: ["success", ...ATTEMPT_ERRORS],
  status: ["delivered", "failed"],
  table: ["events", "deliveries", "attempts"],
} as const;

/** The codes that lines are refused with, of all that an error may have (docs/CONTRACT.md, section 3). */
export type RefusedLineCode = (typeof LABELS)["code"][number];

const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const LONG_BUCKETS = [...BUCKETS, 60, 300, 1_800, 7_200, 43_200, 172_800];

/** Metrics in the Prometheus form. No label carries a URL, a key or an organization. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  const counter = (name: string, help: string) =>
    new Counter({ name: `armorhooks_${name}`, help, registers });
  /** A counter by one label. It keeps its own sums until it is asked for: prom-client's take longer to add to. */
  const labelled = <Label extends keyof typeof LABELS>(name: string, help: string, label: Label) => {
    const values: readonly string[] = LABELS[label];
    const sums = new Map(values.map((value) => [value, 0]));
    new Counter<Label>({
      name: `armorhooks_${name}`,
      help,
      labelNames: [label],
      registers,
      collect() {
        for (const [value, sum] of sums) {
          this.inc({ [label]: value } as Record<Label, string>, sum);
          sums.set(value, 0);
        }
      },
    });
    return {
      add(value: (typeof LABELS)[Label][number], count = 1): void {
        sums.set(value, (sums.get(value) ?? 0) + count);
      },
    };
  };
  const histogram = (name: string, help: string, buckets: readonly number[]) =>
    createHistogram({ name: `armorhooks_${name}`, help, buckets, registry });

  const gauge = (name: string, help: string, read: () => number | Promise<number>): void => {
    new Gauge({
      name: `armorhooks_${name}`,
      help,
      registers,
      async collect() {
        this.set(await readOrNothing(read));
      },
    });
  };

  return {
    registry,
    events: labelled("events_total", "Scan events stored, by tier.", "tier"),
    duplicates: counter("duplicate_events_total", "Scan events recognised as repeats and not stored."),
    cutLines: counter("cut_lines_total", "Socket lines forgotten as the connection ended amid them."),
    refusedLines: labelled("refused_lines_total", "Socket lines answered with an error, by code.", "code"),
    attempts: labelled("attempts_total", "Attempts made, by outcome.", "outcome"),
    finished: labelled("deliveries_finished_total", "Deliveries that ended, by status.", "status"),
    disabled: counter("webhooks_disabled_total", "Webhooks disabled by the daemon."),
    pruned: labelled(
      "pruned_rows_total",
      "Events, deliveries and attempts removed after the retention.",
      "table",
    ),
    faults: counter("faults_total", "Faults of our own, each with a line in the log."),
    attemptDuration: histogram("attempt_duration_seconds", "How long attempts took.", BUCKETS),
    eventToDelivery: histogram(
      "event_to_delivery_seconds",
      "From the receipt of an event to its successful delivery.",
      LONG_BUCKETS,
    ),
    /** Where several daemons share one database. */
    watchDaemons({ daemons, held }: { daemons: () => Promise<number>; held: () => number }): void {
      gauge("daemons", "Daemons that share the database, this one included.", daemons);
      gauge("partitions_held", "Of 256 parts of all webhooks, those that this daemon sends to.", held);
    },
    /** Adds the gauges once there is something to read. */
    watch(sources: GaugeSources): void {
      gauge(
        "pending_deliveries",
        "Deliveries that are neither delivered nor failed.",
        sources.pendingDeliveries,
      );
      gauge(
        "oldest_pending_seconds",
        "Age of the oldest pending delivery of an enabled webhook; 0 when none.",
        sources.oldestPendingSeconds,
      );
      gauge("socket_connections", "Open connections to the scan-event socket.", sources.socketConnections);
      gauge("requests_in_flight", "Attempts being made.", sources.requestsInFlight);
      gauge("webhooks_waiting", "Webhooks whose receivers have asked to wait.", sources.webhooksWaiting);
      gauge("database_bytes", "Size of the database file and its write-ahead log.", sources.databaseBytes);
      gauge("store_writable", "1 while the database can be written, otherwise 0.", () =>
        Number(sources.storeWritable()),
      );
    },
  };
}

/** A database that cannot be read must not take every other metric with it. */
async function readOrNothing(read: () => number | Promise<number>): Promise<number> {
  try {
    return await read();
  } catch {
    return Number.NaN;
  }
}

/** A Prometheus histogram without labels. */
export interface Histogram {
  observe(value: number): void;
}

interface HistogramOptions {
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
function createHistogram({ name, help, buckets, registry }: HistogramOptions): Histogram {
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
