import type { Clock } from "../../clock.ts";
import type { NewOrganization, Organization, Organizations } from "../organizations.ts";
import type { PostgresDatabase } from "./database.ts";
import { type Directory, ORGANIZATION_COLUMNS, raising, SELECT_ORGANIZATIONS } from "./directory.ts";
import type { Query, Work } from "./pool.ts";

/** Makes an organization at a wall time; part of a transaction. */
export async function insertOrganization(
  query: Query,
  { name, plan }: NewOrganization,
  createdAt: number,
): Promise<Organization> {
  const [row] = await query<Organization>(
    `INSERT INTO organizations (uuid, name, plan, created_at) VALUES ($1, $2, $3, $4) RETURNING ${ORGANIZATION_COLUMNS}`,
    [crypto.randomUUID(), name, plan, createdAt],
  );
  return row as Organization;
}

/** `changed` is told after a change that others keep in memory. */
export function createOrganizations(
  database: PostgresDatabase,
  { clock, directory, changed }: { clock: Clock; directory: Directory; changed: () => Promise<void> },
): Organizations {
  const { main } = database;
  const write = <T>(run: Work<T>): Promise<T> => database.write(raising(run), changed);

  return {
    create: (input) => write((query) => insertOrganization(query, input, clock.wall())),
    update: (uuid, { name, plan }) =>
      write(async (query) => {
        const [row] = await query<Organization>(
          `UPDATE organizations SET name = coalesce($2, name), plan = coalesce($3, plan) WHERE uuid = $1
           RETURNING ${ORGANIZATION_COLUMNS}`,
          [uuid, name ?? null, plan ?? null],
        );
        return row ?? null;
      }),
    list: async () => [...(await main.query<Organization>(SELECT_ORGANIZATIONS))],
    get: async (uuid) => {
      const [row] = await main.query<Organization>(
        `SELECT ${ORGANIZATION_COLUMNS} FROM organizations WHERE uuid = $1`,
        [uuid],
      );
      return row ?? null;
    },
    known: directory.organizations,
    refresh: async () => {
      await directory.refresh(main.query);
    },
  };
}
