import { count } from "drizzle-orm";
import type { Clock } from "../../clock.ts";
import type { Bootstrap } from "../bootstrap.ts";
import { insertKey } from "./api-keys.ts";
import type { StoreDatabase } from "./database.ts";
import { promised } from "./faults.ts";
import { insertOrganization } from "./organizations.ts";
import { organizations } from "./schema.ts";

/** `changed` is told that there may be an organization more. */
export function createBootstrap(
  { orm, transaction }: StoreDatabase,
  clock: Clock,
  changed: () => void,
): Bootstrap {
  return (first, show) =>
    promised(() => {
      changed();
      return transaction("durable", () => {
        if (orm.select({ n: count() }).from(organizations).get()?.n !== 0) return null;
        const now = clock.wall();
        const organization = insertOrganization(orm, first.organization, now);
        const made = {
          organization,
          ...insertKey(orm, { ...first.key, organizationId: organization.id }, now),
        };
        show(made);
        return made;
      });
    });
}
