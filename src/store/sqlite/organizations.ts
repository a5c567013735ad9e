import { eq } from "drizzle-orm";
import type { Plan } from "../../plans.ts";
import type { Orm, StoreDatabase } from "./database.ts";
import { organizations } from "./schema.ts";

export type Organization = typeof organizations.$inferSelect;

export interface NewOrganization {
  name: string;
  plan: Plan;
  now: number;
}

export interface OrganizationStore {
  create(input: NewOrganization): Organization;
  update(uuid: string, values: { name?: string; plan?: Plan }): Organization | null;
  list(): Organization[];
  get(uuid: string): Organization | null;
  /** Says that one was made past this store. */
  changed(): void;
  /** Grows with each change made through this store; what other processes change shows in dataVersion(). */
  changes(): number;
}

export function insertOrganization(orm: Orm, { name, plan, now }: NewOrganization): Organization {
  const values = { uuid: crypto.randomUUID(), name, plan, createdAt: now };
  return orm.insert(organizations).values(values).returning().get();
}

export function createOrganizationStore({ orm, transaction }: StoreDatabase): OrganizationStore {
  const get = (uuid: string): Organization | null =>
    orm.select().from(organizations).where(eq(organizations.uuid, uuid)).get() ?? null;
  let changes = 0;
  const write = <T>(run: () => T): T => {
    changes += 1;
    return transaction("durable", run);
  };
  return {
    changed: () => {
      changes += 1;
    },
    changes: () => changes,
    create: (input) => write(() => insertOrganization(orm, input)),
    update: (uuid, values) =>
      write(() => {
        if (Object.keys(values).length > 0) {
          orm.update(organizations).set(values).where(eq(organizations.uuid, uuid)).run();
        }
        return get(uuid);
      }),
    list: () => orm.select().from(organizations).orderBy(organizations.id).all(),
    get,
  };
}
