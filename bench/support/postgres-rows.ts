import type { Cluster } from "../../test/support/postgres.ts";
import { type Bench, check, within } from "./bench.ts";
import type { Measured } from "./pairs.ts";
import { databaseArgs, serverTime } from "./postgres.ts";
import { costOf, processorTime } from "./processor-time.ts";
import type { PostgresRowsMethods } from "./programs/postgres-rows.ts";
import { perSecond } from "./statistics.ts";

const LONGEST_MS = 300_000;

/** The rate of the daemon's own statements alone, with the processor time of the process that asks and of the server. */
export async function postgresRows(
  bench: Bench,
  cluster: Cluster,
  count: number,
): Promise<Measured & { serverUs: number }> {
  const url = await cluster.database();
  const key = databaseArgs(bench, url).at(-1) ?? "";
  const { pid, call, stop } = bench.program<PostgresRowsMethods>("postgres-rows");
  await call("open", { url, key });
  const before = { used: processorTime(pid), server: serverTime(cluster) };
  const milliseconds = await within("the statements alone", LONGEST_MS, call("flood", { count }));
  const cpuUs = costOf(pid, before.used, count);
  const serverUs = ((serverTime(cluster) - before.server) * 1_000) / count;
  const { pending } = await call("close");
  check(`all its results are written (${pending} are not)`, pending === 0);
  await stop();
  return { rate: perSecond(count, milliseconds), cpuUs, serverUs };
}
