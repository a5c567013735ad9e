import { UsageError } from "../../errors.ts";
import { isStoreFault } from "../faults.ts";
import type { LargeTable, Moved, MovedCounts, MoveProgress, MoveSource, SourceRow } from "../move.ts";
import { parseAddress } from "./address.ts";
import { createPostgresDatabase, type PostgresDatabase } from "./database.ts";
import { makeDays } from "./days.ts";
import { WRITE } from "./move-rows.ts";
import { type MoveState, readMove, writeMove } from "./move-state.ts";
import { makeTables } from "./prepare-database.ts";
import { whyUnreachable } from "./unreachable.ts";

/** Rows of one transaction. */
const STEP = 5_000;
/** The option that names the database. */
const FLAG = "--to";
const LIMIT_MS = 120_000;
const LARGE: readonly LargeTable[] = ["events", "deliveries", "attempts"];

export interface MoveToOptions {
  /** A postgres:// URL. */
  url: string;
  source: MoveSource;
  /** Of the secret key. */
  keyId: string;
  /** The same for as long as the source has not changed since the beginning. */
  move: string;
  /** Called once the database can take it, before anything is there; with the address, without password. */
  onBegin: (to: string) => void;
  onProgress: MoveProgress;
}

/** How the database that `move --to` names is called in what people read. Throws UsageError. */
export function shownAddress(url: string): string {
  return parseAddress(url, FLAG).shown;
}

/**
 * Takes everything from a data directory to an empty database, in steps of one transaction each: cut short, it goes
 * on where it was. Until all of it is there and counted, no daemon starts on that database. Rejects with UsageError.
 */
export async function moveTo(options: MoveToOptions): Promise<Moved> {
  const { source, onProgress } = options;
  const address = parseAddress(options.url, FLAG);
  const database = createPostgresDatabase({ address, resident: false });
  try {
    await makeTables(database.main, { shown: address.shown, resident: false, mustExist: false });
    const state = await begin(database, options, address.shown);
    // Only the mark was not written: by now daemons may be at work there.
    if (state.isDone) return { to: address.shown, counts: countsOf(source) };
    if (state.table === "small") await moveSmall(database, source);
    await makeDays(database.main, source.days());
    await moveLarge(database, source, onProgress);
    const counts = await compare(database, source);
    await finish(database);
    return { to: address.shown, counts };
  } catch (error) {
    if (!isStoreFault(error)) throw error;
    const why = await whyUnreachable(error, address);
    throw new UsageError(`cannot move to ${address.shown}: ${why}; run it again to go on`, 1);
  } finally {
    await database.close();
  }
}

async function begin(
  { main }: PostgresDatabase,
  { source, keyId, move, onBegin }: MoveToOptions,
  to: string,
): Promise<MoveState> {
  const tag = source.meta("installation_tag") ?? "";
  const known = await readMove(main.query);
  if (known) {
    if (known.tag === tag && known.move === move) return known;
    throw new UsageError(refusalOf(known, tag), 1);
  }
  return main.transaction(async (query) => {
    await query("LOCK TABLE organizations IN EXCLUSIVE MODE");
    const [taken] = await query("SELECT 1 FROM organizations UNION ALL SELECT 1 FROM daemons LIMIT 1");
    if (taken) throw new UsageError("the database is in use already; name an empty one", 1);
    const put =
      "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    await query(put, ["installation_tag", tag]);
    await query(put, ["key_id", keyId]);
    const state = { tag, move, table: "small" as const, id: 0, rows: 0, isDone: false };
    await writeMove(query, state);
    onBegin(to);
    return state;
  });
}

function refusalOf(known: MoveState, tag: string): string {
  if (known.tag !== tag) return "another installation is being moved there, or was; name an empty database";
  return known.isDone
    ? "everything was moved there already; name an empty database"
    : "an earlier move there was given up; name an empty database";
}

// ── small tables: in one transaction ────────────────────────────────────────────────────────────────

const SMALL = {
  organizations: ["id", "uuid", "name", "plan", "created_at"],
  api_keys:
    "id uuid organization_id name key_prefix key_hash rate_limit_per_minute enabled last_used_at read_only created_at expires_at".split(
      " ",
    ),
  webhooks:
    "id uuid organization_id url events format enabled disabled_reason failure_count last_triggered_at last_success_at paused_until secret name filter rate_limit_per_minute grouped headers header_names created_at end_through deleted_at".split(
      " ",
    ),
  rotated_secrets: ["id", "webhook_id", "secret", "expires_at"],
  webhook_minutes: ["webhook_id", "minute", "attempts", "delivered", "failed", "latencies"],
} as const;
/** SQLite has numbers for these. */
const BOOLEANS: ReadonlySet<string> = new Set(["enabled", "read_only", "grouped"]);

async function moveSmall({ main }: PostgresDatabase, source: MoveSource): Promise<void> {
  await main.transaction(async (query) => {
    for (const [table, columns] of Object.entries(SMALL)) {
      const text = `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${columns.map((_, i) => `$${i + 1}`).join(", ")})`;
      for (const row of source.all(table as keyof typeof SMALL)) {
        await query(
          text,
          columns.map((column) => toPostgres(column, row[column] ?? null, source.clockOffset)),
        );
      }
      if (columns[0] === "id") {
        await query(
          `SELECT setval(pg_get_serial_sequence('${table}', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM ${table}), false)`,
        );
      }
    }
    await query("UPDATE webhooks SET changed_in = 1");
    await query("UPDATE meta SET value = '1' WHERE key = 'version'");
    const known = await readMove(query);
    if (known) await writeMove(query, { ...known, table: "events", id: 0 });
  }, LIMIT_MS);
}

function toPostgres(column: string, value: SourceRow[string], offset: number): unknown {
  if (value === null || value === undefined) return null;
  if (BOOLEANS.has(column)) return value === 1;
  // The schedule clock is the database's there.
  if (column === "last_success_at" || column === "paused_until") return Number(value) - offset;
  return value instanceof Uint8Array ? Buffer.from(value) : value;
}

// ── large tables: in steps ──────────────────────────────────────────────────────────────────────────

async function moveLarge(
  database: PostgresDatabase,
  source: MoveSource,
  onProgress: MoveProgress,
): Promise<void> {
  const total = LARGE.reduce((sum, table) => sum + source.count(table), 0);
  for (;;) {
    const state = await readMove(database.main.query);
    onProgress(Math.min(state?.rows ?? 0, total), total);
    if (!state || state.table === "done" || state.table === "small") return;
    const { table, id } = state;
    const rows = source.after(table, id, STEP);
    const next = LARGE[LARGE.indexOf(table) + 1] ?? "done";
    const last = rows.at(-1);
    await database.main.transaction(async (query) => {
      if (rows.length > 0) await WRITE[table](query, rows, source.clockOffset);
      const reached = Number(last?.[table === "attempts" ? "delivery_id" : "id"] ?? 0);
      const at: Partial<MoveState> = last
        ? { id: reached, rows: state.rows + rows.length }
        : { table: next, id: 0 };
      await writeMove(query, { ...state, ...at });
    }, LIMIT_MS);
  }
}

// ── the end ─────────────────────────────────────────────────────────────────────────────────────────

async function compare({ main }: PostgresDatabase, source: MoveSource): Promise<MovedCounts> {
  const [there] = await main.slowQuery<MovedCounts>(
    LIMIT_MS,
    `SELECT (SELECT count(*) FROM organizations)::int4 AS organizations, (SELECT count(*) FROM api_keys)::int4 AS keys,
       (SELECT count(*) FROM webhooks)::int4 AS webhooks, (SELECT count(*) FROM events)::int4 AS events,
       (SELECT count(*) FROM queue)::int4 AS pending, (SELECT count(*) FROM deliveries)::int4 AS finished`,
  );
  const here = countsOf(source);
  for (const [name, count] of Object.entries(here)) {
    const arrived = there?.[name as keyof MovedCounts] ?? 0;
    if (arrived !== count)
      throw new UsageError(`${arrived} of ${count} ${name} have arrived; nothing was changed here`, 1);
  }
  return here;
}

function countsOf(source: MoveSource): MovedCounts {
  const pending = source.count("pending");
  return {
    organizations: source.all("organizations").length,
    keys: source.all("api_keys").length,
    webhooks: source.all("webhooks").length,
    events: source.count("events"),
    pending,
    finished: source.count("deliveries") - pending,
  };
}

async function finish({ main }: PostgresDatabase): Promise<void> {
  await main.transaction(async (query) => {
    const known = await readMove(query);
    if (known) await writeMove(query, { ...known, isDone: true });
  });
}
