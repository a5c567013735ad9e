import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SQL } from "bun";
import { type Cluster, startCluster } from "../../test/support/postgres.ts";
import type { Bench } from "./bench.ts";
import type { Measured } from "./pairs.ts";
import { processorTime } from "./processor-time.ts";

/** A PostgreSQL server of the bench's own, which waits for the disk as it would anywhere. */
export async function startPostgres(bench: Bench): Promise<Cluster> {
  const cluster = await startCluster({ syncs: true });
  bench.defer(() => cluster.remove());
  return cluster;
}

/** What a daemon needs to be told of a database. */
export function databaseArgs(bench: Bench, url: string): string[] {
  const key = join(bench.newDir(), "secret.key");
  writeFileSync(key, "3c".repeat(32));
  return ["--database", url, "--secret-key-file", key];
}

/** Milliseconds of processor time that the server's processes have used: its first one and those that it has started. */
export function serverTime(cluster: Cluster): number {
  const first = cluster.pid();
  const children = readFileSync(`/proc/${first}/task/${first}/children`, "utf8").trim().split(" ");
  return [first, ...children.map(Number)].reduce((sum, pid) => sum + processorTime(pid), 0);
}

const BATCH = 256;
const CONNECTIONS = 16;
/** As many as the loop of bare `fetch` has in flight. */
const AT_ONCE = 64;

/** Tables for an event and its place in a queue, and nothing more. */
async function bareTables(cluster: Cluster, max: number): Promise<SQL> {
  const sql = new SQL(await cluster.database(), { max });
  await sql.unsafe("CREATE TABLE e (id bigint PRIMARY KEY, body text NOT NULL, at bigint NOT NULL)");
  await sql.unsafe(
    "CREATE TABLE q (webhook_id int, id bigint, event_id bigint NOT NULL, PRIMARY KEY (webhook_id, id))",
  );
  return sql;
}

/**
 * The loop of inserts that Bun.SQL's documents have one write: a statement for each event, as a request handler would
 * store it, so many under way at once. Processor time is the client's and the server's together.
 */
export async function insertLoop(cluster: Cluster, count: number, body: string): Promise<Measured> {
  const sql = await bareTables(cluster, CONNECTIONS);
  let next = 0;
  const insert = async (): Promise<void> => {
    while (next < count) {
      const id = next * 64;
      next += 1;
      await sql`WITH s AS (INSERT INTO e (id, body, at) VALUES (${id}, ${body}, ${id}))
        INSERT INTO q (webhook_id, id, event_id) VALUES (1, ${id + 1}, ${id})`;
    }
  };
  const before = process.cpuUsage();
  const serverBefore = serverTime(cluster);
  const started = performance.now();
  await Promise.all(Array.from({ length: AT_ONCE }, insert));
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(before);
  const serverUs = (serverTime(cluster) - serverBefore) * 1000;
  const [stored] = await sql<[{ n: number }]>`SELECT count(*)::int4 AS n FROM e JOIN q ON q.event_id = e.id`;
  if (stored.n !== count) throw new Error(`${stored.n} of ${count} events were stored`);
  await sql.close();
  return { rate: count / seconds, cpuUs: (user + system + serverUs) / count };
}

/** Events a second that inserts of arrays come to, so many events to a statement, one after another. */
export async function bareInserts(cluster: Cluster, count: number, body: string): Promise<number> {
  const sql = await bareTables(cluster, 1);
  const text = `WITH i AS (SELECT * FROM unnest($1::bigint[], $2::text[]) AS t(id, body)),
    s AS (INSERT INTO e SELECT id, body, id FROM i) INSERT INTO q SELECT 1, id + 1, id FROM i`;
  const started = performance.now();
  for (let at = 0; at < count; at += BATCH) {
    const ids = Array.from({ length: Math.min(BATCH, count - at) }, (_, i) => (at + i) * 64);
    await sql.unsafe(text, [ids, ids.map(() => body)]);
  }
  const seconds = (performance.now() - started) / 1000;
  await sql.close();
  return count / seconds;
}
