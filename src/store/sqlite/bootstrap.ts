import { count } from "drizzle-orm";
import { type ApiKey, insertKey, type NewApiKey } from "./api-keys.ts";
import type { StoreDatabase } from "./database.ts";
import {
  insertOrganization,
  type NewOrganization,
  type Organization,
  type OrganizationStore,
} from "./organizations.ts";
import { organizations } from "./schema.ts";

export interface Bootstrapped {
  organization: Organization;
  key: ApiKey;
  rawKey: string;
}

/**
 * Makes the first organization and its first key on a database without organizations; null on another. What was
 * made is shown before it is committed, and nothing stays when `show` throws: the only key must not be one that
 * nobody saw.
 */
export type Bootstrap = (
  first: { organization: NewOrganization; key: Omit<NewApiKey, "organizationId"> },
  show: (made: Bootstrapped) => void,
) => Bootstrapped | null;

export function createBootstrap(
  { orm, transaction }: StoreDatabase,
  { changed }: Pick<OrganizationStore, "changed">,
): Bootstrap {
  return (first, show) => {
    changed();
    return transaction("durable", () => {
      if (orm.select({ n: count() }).from(organizations).get()?.n !== 0) return null;
      const organization = insertOrganization(orm, first.organization);
      const made = { organization, ...insertKey(orm, { ...first.key, organizationId: organization.id }) };
      show(made);
      return made;
    });
  };
}
