import { UsageError } from "../../errors.ts";
import { newInstallationTag } from "../../ids.ts";
import { appliedUntil, migrate, refuseOthers } from "./migrations.ts";
import { readMove } from "./move-state.ts";
import type { Pool, Query } from "./pool.ts";

/** PostgreSQL 14. */
const OLDEST_SERVER = 140_000;

/**
 * Sees that a database can be a store, and makes its tables; answers the tag of the installation. Rejects with
 * UsageError when the server, or what is in the database, is not for this program.
 */
export async function prepareDatabase(main: Pool): Promise<string> {
  await makeTables(main);
  await refuseUnfinishedMove(main.query);
  return installationTag(main);
}

/** The same for a database that is still to be filled. */
export async function makeTables(main: Pool): Promise<void> {
  await requireServer(main.query);
  await migrate(main);
}

/** Rejects with UsageError for a database on which no daemon would start, and changes nothing. */
export async function requireFit(query: Query): Promise<void> {
  await requireServer(query);
  const applied = await appliedUntil(query);
  await refuseOthers(query, applied);
  if (applied !== null) await refuseUnfinishedMove(query);
}

async function refuseUnfinishedMove(query: Query): Promise<void> {
  const move = await readMove(query);
  if (!move || move.isDone) return;
  throw new UsageError(
    "an installation is being moved to this database; run armorhooks move again to its end",
    1,
  );
}

async function requireServer(query: Query): Promise<void> {
  const [row] = await query<{ number: number; name: string; encoding: string }>(
    `SELECT current_setting('server_version_num')::int4 AS number, current_setting('server_version') AS name,
     current_setting('server_encoding') AS encoding`,
  );
  if (!row) return;
  if (row.number < OLDEST_SERVER) {
    throw new UsageError(`the database server is PostgreSQL ${row.name}; armorhooks needs 14 or newer`, 1);
  }
  if (row.encoding !== "UTF8") {
    throw new UsageError(`the database's encoding is ${row.encoding}; armorhooks needs UTF8`, 1);
  }
}

/** Made by the first that opens the database. */
async function installationTag(main: Pool): Promise<string> {
  await main.query("INSERT INTO meta (key, value) VALUES ('installation_tag', $1) ON CONFLICT DO NOTHING", [
    newInstallationTag(),
  ]);
  const [row] = await main.query<{ value: string }>("SELECT value FROM meta WHERE key = 'installation_tag'");
  return row?.value ?? "";
}
