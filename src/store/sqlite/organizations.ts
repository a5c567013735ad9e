import { eq } from "drizzle-orm";
import type { Plan } from "../../plans.ts";
import type { StoreDatabase } from "./database.ts";
import { organizations } from "./schema.ts";

export type Organization = typeof organizations.$inferSelect;

export interface OrganizationStore {
  create(input: { name: string; plan: Plan; now: number }): Organization;
  update(uuid: string, values: { name?: string; plan?: Plan }): Organization | null;
  list(): Organization[];
  get(uuid: string): Organization | null;
  /** Grows with each change made through this store; what other processes change shows in dataVersion(). */
  changes(): number;
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
    changes: () => changes,
    create: ({ name, plan, now }) =>
      write(() =>
        orm
          .insert(organizations)
          .values({ uuid: crypto.randomUUID(), name, plan, createdAt: now })
          .returning()
          .get(),
      ),
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
