import { join } from "node:path";
import { type Bench, check, type Line, type Row } from "../support/bench.ts";
import { install } from "../support/installation.ts";
import { formatRatio, spreadOf } from "../support/pairs.ts";
import type { ScannerIds, StoreMethods } from "../support/programs/store.ts";
import { median } from "../support/statistics.ts";

const BATCH = 256;
/** Batches are timed in so many windows, checkpoints included; the median window counts. */
const WINDOWS = 7;
const WARM_UP = 100 * BATCH;
const GOAL = 1.3;
/** Random ids lie anywhere in their index, ascending ones at its end. */
const VARIANTS: readonly { title: string; ids: ScannerIds; subscribed: boolean }[] = [
  { title: "no scanner ids", ids: "none", subscribed: false },
  { title: "no scanner ids, 1 subscriber", ids: "none", subscribed: true },
  { title: "ascending scanner ids", ids: "ascending", subscribed: false },
  { title: "random scanner ids", ids: "random", subscribed: false },
];

export const insertCostRow: Row = {
  name: "insert-cost",
  async run(bench) {
    const lines: Line[] = [];
    for (const variant of VARIANTS) lines.push(await measure(bench, variant));
    return lines;
  },
};

async function measure(bench: Bench, variant: (typeof VARIANTS)[number]): Promise<Line> {
  const { title, ids, subscribed } = variant;
  const sizes = bench.quick ? [10_000, 50_000, 100_000] : [10_000, 1_000_000, 5_000_000];
  const count = BATCH * bench.size(50, 10);
  const program = bench.program<StoreMethods>("store");
  // Else the smallest size would pay for the code's first runs.
  await program.call("open", { dataDir: join(bench.newDir(), "warm-up") });
  await program.call("cost", { count: WARM_UP, ids, webhookIds: [] });
  await program.call("close");
  const { webhookIds } = await program.call("open", { dataDir: await dataDirFor(bench, subscribed) });
  const measured: number[][] = [];
  for (const until of sizes) {
    bench.progress(`${title}: growing to ${until.toLocaleString("en")} events`);
    await program.call("grow", { until, ids, webhookIds });
    const windows: number[] = [];
    for (let i = 0; i < WINDOWS; i += 1) {
      windows.push(await program.call("cost", { count, ids, webhookIds }));
    }
    measured.push(windows);
  }
  const { events } = await program.call("close");
  check(`every event is stored (${events})`, events === (sizes.at(-1) ?? 0) + WINDOWS * count);
  await program.stop();
  const costs = measured.map(median);
  const smallest = costs[0] ?? Number.NaN;
  const ratios = spreadOf((measured.at(-1) ?? []).map((cost) => cost / smallest));
  return {
    name: `insert cost per event at ${sizes.map(formatCount).join(", ")} stored, ${title}`,
    figure: costs.map((cost) => `${cost.toFixed(1)} µs`).join(", "),
    limit: "",
    ratio: formatRatio(ratios),
    goal: `≤ ${GOAL}`,
    reached: ratios.ratio <= GOAL,
    values: { ...ratios, small: costs[0] ?? 0, middle: costs[1] ?? 0, large: costs[2] ?? 0 },
  };
}

/** With a webhook that was registered, or a database that has nothing. */
async function dataDirFor(bench: Bench, subscribed: boolean): Promise<string> {
  if (!subscribed) return join(bench.newDir(), "data");
  const webhooks = [{ url: "http://127.0.0.1:9/hook" }];
  const { daemon, dataDir } = await install(bench, { webhooks, paused: true });
  await daemon.stop();
  return dataDir;
}

function formatCount(count: number): string {
  return count >= 1e6 ? `${count / 1e6} M` : `${count / 1e3} k`;
}
