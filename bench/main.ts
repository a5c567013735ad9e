import { parseArgs } from "node:util";
import { bullmqRow } from "./rows/bullmq.ts";
import { deadWebhooksRow } from "./rows/dead-webhooks.ts";
import { drainRow } from "./rows/drain.ts";
import { drainHttpsRow } from "./rows/drain-https.ts";
import { fairnessRow } from "./rows/fairness.ts";
import { fanOutRow } from "./rows/fan-out.ts";
import { idleRow } from "./rows/idle.ts";
import { ingestRow } from "./rows/ingest.ts";
import { insertCostRow } from "./rows/insert-cost.ts";
import { latencyRow } from "./rows/latency.ts";
import { manyNamesRow } from "./rows/many-names.ts";
import { manyWebhooksRow } from "./rows/many-webhooks.ts";
import { millionPendingRow } from "./rows/million-pending.ts";
import { pageRow } from "./rows/page.ts";
import { postgresRow } from "./rows/postgres.ts";
import { postgresHistoryRow } from "./rows/postgres-history.ts";
import { receiversRow } from "./rows/receivers.ts";
import { soakRow } from "./rows/soak.ts";
import { wholeWayRow } from "./rows/whole-way.ts";
import { type Line, type Row, runRow } from "./support/bench.ts";
import { formatTable, machine } from "./support/table.ts";

const ROWS: readonly Row[] = [
  drainRow,
  wholeWayRow,
  drainHttpsRow,
  ingestRow,
  fanOutRow,
  latencyRow,
  deadWebhooksRow,
  millionPendingRow,
  idleRow,
  insertCostRow,
  bullmqRow,
  manyNamesRow,
  manyWebhooksRow,
  fairnessRow,
  receiversRow,
  pageRow,
  postgresRow,
  postgresHistoryRow,
  soakRow,
];

const HELP = `Measures the compiled daemon beside the limits of this machine.

usage: bun bench/main.ts [row…] [--quick] [--json] [--minutes N] [--profile DIR]

rows: ${ROWS.map(({ name }) => name).join(", ")} (default: all)

  --quick        small sizes, one round: shows that everything runs, not how fast
  --json         print the numbers as JSON
  --minutes N    how long the soak goes on (default 2; hours on demand)
  --profile DIR  run the daemon from its sources and leave CPU profiles in DIR

Each row checks what it timed, as far as it applies: every request counted once,
signatures verified on a sample, every event acked, nothing left pending that should not
be, no fault in the log. Measurements that
are compared are made in turn, and ratios are medians of the ratios of pairs. The daemon
logs at its default level to a file; all files are in TMPDIR. ARMORHOOKS_TEST_BINARY
names another binary than dist/armorhooks.`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    minutes: { type: "string" },
    profile: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

if (values.help) {
  console.log(HELP);
  process.exit(0);
}
const unknown = positionals.filter((name) => !ROWS.some((row) => row.name === name));
if (unknown.length > 0) {
  console.error(`no row is called ${unknown.join(", ")}; see --help`);
  process.exit(2);
}
const minutes = values.minutes === undefined ? (values.quick ? 0.1 : 2) : Number(values.minutes);
if (!(minutes > 0)) {
  console.error(`--minutes must be a number above 0, not ${values.minutes}`);
  process.exit(2);
}
// Ending by a signal would leave children and files behind.
const interrupted = new Promise<never>((_, reject) => {
  for (const signal of ["SIGINT", "SIGTERM"])
    process.once(signal, () => reject(new Error(`ended by ${signal}`)));
});
// Only the row that runs needs to know.
interrupted.catch(() => {});
process.exitCode = (await runAll(
  ROWS.filter(({ name }) => positionals.length === 0 || positionals.includes(name)),
))
  ? 0
  : 1;
process.exit();

/** Whether every row could be measured; a goal that was missed is no failure. */
async function runAll(rows: readonly Row[]): Promise<boolean> {
  const lines: Line[] = [];
  const failures: string[] = [];
  for (const row of rows) {
    progress(row.name);
    try {
      lines.push(
        ...(await runRow(row, {
          quick: values.quick,
          minutes,
          profileDir: values.profile ?? null,
          progress,
          interrupted,
        })),
      );
    } catch (error) {
      failures.push(`${row.name}: ${error instanceof Error ? error.message : error}`);
      progress(failures.at(-1) ?? "");
      if (/^ended by/.test(error instanceof Error ? error.message : "")) break;
    }
  }
  if (values.json)
    console.log(JSON.stringify({ machine: machine(), quick: values.quick, lines, failures }, null, 2));
  else
    console.log([machine(), "", formatTable(lines), ...failures.map((text) => `FAILED ${text}`)].join("\n"));
  return failures.length === 0;
}

function progress(text: string): void {
  if (process.stderr.isTTY || !values.json) console.error(`… ${text}`);
}
