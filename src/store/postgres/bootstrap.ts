import type { Clock } from "../../clock.ts";
import type { Bootstrap } from "../bootstrap.ts";
import { insertKey } from "./api-keys.ts";
import type { PostgresDatabase } from "./database.ts";
import { raiseVersion } from "./directory.ts";
import { insertOrganization } from "./organizations.ts";

/** Of daemons that start together, one makes the first organization. */
export function createBootstrap(
  database: PostgresDatabase,
  { clock, changed }: { clock: Clock; changed: () => Promise<void> },
): Bootstrap {
  return (first, show) =>
    database.write(async (query) => {
      // Takes the row that all changes take: whoever is second sees what the first has made.
      await raiseVersion(query);
      const [row] = await query<{ n: number }>("SELECT count(*)::int4 AS n FROM organizations");
      if (row?.n !== 0) return null;
      const now = clock.wall();
      const organization = await insertOrganization(query, first.organization, now);
      const made = {
        organization,
        ...(await insertKey(query, { ...first.key, organizationId: organization.id }, now)),
      };
      show(made);
      return made;
    }, changed);
}
