import { Refusal } from "../../errors.ts";
import { newInstallationTag } from "../../ids.ts";
import { holdOffDaemons } from "./alone.ts";
import { appliedUntil, migrate, refuseOthers } from "./migrations.ts";
import { readMove } from "./move-state.ts";
import type { Pool, Query } from "./pool.ts";

/** PostgreSQL 14. */
const OLDEST_SERVER = 140_000;

export interface Opening {
  /** The address, without password. */
  shown: string;
  /** Whether a daemon opens it: a daemon may bring it up to date while older ones run, nobody else may. */
  resident: boolean;
  /** Whether tables must be there: looking at a wrong database should not make any. */
  mustExist: boolean;
}

/**
 * Sees that a database can be a store, and makes its tables; answers the tag of the installation. Rejects with
 * UsageError when the server, or what is in the database, is not for this program.
 */
export async function prepareDatabase(main: Pool, opening: Opening): Promise<string> {
  await makeTables(main, opening);
  await refuseUnfinishedMove(main.query);
  return installationTag(main);
}

/** The same for a database that is still to be filled. */
export async function makeTables(main: Pool, { shown, resident, mustExist }: Opening): Promise<void> {
  await requireServer(main.query);
  if (mustExist && (await appliedUntil(main.query)) === null)
    throw new Refusal(`there is no armorhooks database at ${shown}`, "name the daemons' --database");
  await migrate(main, async (query) => {
    // A daemon that is running knows the database as it was when it started.
    const refusal = `the daemon on database ${shown} is of an older version than this command`;
    if (!resident) await holdOffDaemons(query, new Refusal(refusal, "restart it with this version first"));
  });
}

/** Rejects with UsageError for a database on which no daemon would start, and changes nothing. */
export async function requireFit(query: Query): Promise<void> {
  await requireServer(query);
  const applied = await appliedUntil(query);
  await refuseOthers(query, applied);
  if (applied !== null) await refuseUnfinishedMove(query);
  await requireRights(query);
}

/** Who may use a schema may still lack the right to make a table for each day. */
async function requireRights(query: Query): Promise<void> {
  const [row] = await query<{ may: boolean | null; role: string; database: string }>(
    `SELECT has_schema_privilege(current_schema(), 'CREATE') AS may, current_user AS role,
     current_database() AS database`,
  );
  if (row && row.may !== true)
    throw new Refusal(
      `the role ${row.role} may not make tables there`,
      `make it the owner of ${row.database}`,
    );
}

async function refuseUnfinishedMove(query: Query): Promise<void> {
  const move = await readMove(query);
  if (!move || move.isDone) return;
  throw new Refusal(
    "an installation is being moved to this database",
    "run armorhooks move again to its end",
  );
}

async function requireServer(query: Query): Promise<void> {
  const [row] = await query<{ number: number; name: string; encoding: string }>(
    `SELECT current_setting('server_version_num')::int4 AS number, current_setting('server_version') AS name,
     current_setting('server_encoding') AS encoding`,
  );
  if (!row) return;
  if (row.number < OLDEST_SERVER) {
    throw new Refusal(`the database server is PostgreSQL ${row.name}`, "armorhooks needs 14 or newer");
  }
  if (row.encoding !== "UTF8") {
    throw new Refusal(`the database's encoding is ${row.encoding}`, "armorhooks needs UTF8");
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
