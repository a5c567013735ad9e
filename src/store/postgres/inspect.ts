import { messageOf, Refusal } from "../../errors.ts";
import { isStoreFault } from "../faults.ts";
import type { SharedInspection } from "../shared-inspection.ts";
import { parseAddress } from "./address.ts";
import { NOW } from "./clock.ts";
import { createPostgresDatabase } from "./database.ts";
import { isForbidden } from "./faults.ts";
import { appliedUntil, MIGRATIONS } from "./migrations.ts";
import { PARTITIONS } from "./partitions.ts";
import type { Query } from "./pool.ts";
import { requireFit } from "./prepare-database.ts";

type Server = NonNullable<SharedInspection["server"]>;

/** Asked so often to tell the latency. */
const QUESTIONS = 11;

const SETTINGS = `SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')`;

/** Looks at a shared database. Rejects with UsageError for an address that cannot be one. */
export async function inspectSharedDatabase(url: string): Promise<SharedInspection> {
  const address = parseAddress(url);
  const database = createPostgresDatabase({ address, resident: false });
  const { query } = database.main;
  try {
    const applied = await appliedUntil(query);
    const isThere = applied !== null;
    return {
      address: address.shown,
      state: "usable",
      problems: [],
      facts: isThere ? await readFacts(query, applied) : null,
      server: await readServer(query, isThere, address.isPooled),
    };
  } catch (error) {
    return {
      address: address.shown,
      state: isStoreFault(error) && isForbidden(error) ? "barred" : "damaged",
      problems: [messageOf(error)],
      facts: null,
      server: null,
    };
  } finally {
    await database.close();
  }
}

async function readServer(query: Query, isThere: boolean, isPooled: boolean): Promise<Server> {
  const times: number[] = [];
  const offsets: number[] = [];
  for (let i = 0; i < QUESTIONS; i += 1) {
    const asked = performance.now();
    const before = Date.now();
    const [row] = await query<{ now: number }>(`SELECT ${NOW} AS now`);
    times.push(performance.now() - asked);
    offsets.push((before + Date.now()) / 2 - (row?.now ?? 0));
  }
  const [version] = await query<{ name: string; isEncrypted: boolean | null }>(
    `SELECT current_setting('server_version') AS name,
     (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS "isEncrypted"`,
  );
  const settings = await query<{ name: string; setting: string }>(SETTINGS);
  return {
    version: version?.name ?? "",
    refusal: await refusalOf(query),
    // Where a session can be set, it is set so that commits wait for the disk.
    weakSettings: settings
      .filter(({ name, setting }) =>
        name === "synchronous_commit" ? isPooled && setting === "off" : setting === "off",
      )
      .map(({ name, setting }) => `${name} = ${setting}`),
    latencyMs: median(times),
    clockAheadMs: median(offsets),
    isEncrypted: version?.isEncrypted ?? false,
    ...(isThere ? await readDaemons(query) : { keyId: null, daemons: 0, unheld: PARTITIONS }),
  };
}

/** Null for a database on which a daemon would start. */
async function refusalOf(query: Query): Promise<Server["refusal"]> {
  try {
    await requireFit(query);
    return null;
  } catch (error) {
    if (error instanceof Refusal) return { problem: error.problem, hint: error.hint };
    throw error;
  }
}

async function readDaemons(query: Query): Promise<Pick<Server, "keyId" | "daemons" | "unheld">> {
  const [row] = await query<Pick<Server, "keyId" | "daemons" | "unheld">>(
    `SELECT (SELECT value FROM meta WHERE key = 'key_id') AS "keyId",
     (SELECT count(*) FROM daemons WHERE expires_at > clock_timestamp())::int4 AS daemons,
     (SELECT count(*) FROM partitions p WHERE NOT EXISTS (
       SELECT 1 FROM daemons d WHERE d.id = p.owner AND d.expires_at > clock_timestamp()))::int4 AS unheld`,
  );
  return row ?? { keyId: null, daemons: 0, unheld: PARTITIONS };
}

async function readFacts(query: Query, applied: number): Promise<SharedInspection["facts"]> {
  const newest = MIGRATIONS.at(-1)?.when ?? 0;
  const urls = await query<{ url: string }>("SELECT url FROM webhooks WHERE enabled AND deleted_at IS NULL");
  const [event] = await query<{ at: number }>(
    "SELECT received_at::float8 AS at FROM events ORDER BY id DESC LIMIT 1",
  );
  return {
    missingMigrations: MIGRATIONS.filter(({ when }) => when > applied).length,
    isNewer: applied > newest,
    sealed: null,
    carriesKey: false,
    clock: null,
    newestEventAt: event?.at ?? null,
    urls: urls.map(({ url }) => url),
  };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}
