import { eq } from "drizzle-orm";
import type { Clock } from "../../clock.ts";
import type { NewOrganization, Organization, Organizations } from "../organizations.ts";
import type { Orm, StoreDatabase } from "./database.ts";
import { promised } from "./faults.ts";
import { organizations } from "./schema.ts";

export interface SqliteOrganizations extends Organizations {
  /** Says that one was made past this. */
  changed(): void;
}

/** Makes an organization at a wall time; part of a transaction. */
export function insertOrganization(orm: Orm, input: NewOrganization, createdAt: number): Organization {
  const values = { ...input, uuid: crypto.randomUUID(), createdAt };
  return orm.insert(organizations).values(values).returning().get();
}

export function createOrganizations(
  { orm, transaction, dataVersion }: StoreDatabase,
  clock: Clock,
): SqliteOrganizations {
  /** Grows with each change made through this store; what other processes change shows in `dataVersion`. */
  let changes = 0;
  let known: { version: string; list: readonly Organization[] } = { version: "", list: [] };

  const list = (): Organization[] => orm.select().from(organizations).orderBy(organizations.id).all();
  const get = (uuid: string): Organization | null =>
    orm.select().from(organizations).where(eq(organizations.uuid, uuid)).get() ?? null;

  const write = <T>(run: () => T): Promise<T> =>
    promised(() => {
      changes += 1;
      return transaction("durable", run);
    });

  const refresh = (): void => {
    const version = `${dataVersion()} ${changes}`;
    if (version !== known.version) known = { version, list: list() };
  };

  return {
    changed: () => {
      changes += 1;
    },
    create: (input) => write(() => insertOrganization(orm, input, clock.wall())),
    update: (uuid, values) =>
      write(() => {
        if (Object.keys(values).length > 0) {
          orm.update(organizations).set(values).where(eq(organizations.uuid, uuid)).run();
        }
        return get(uuid);
      }),
    list: () => promised(list),
    get: (uuid) => promised(() => get(uuid)),
    known: () => {
      if (known.version === "") refresh();
      return known.list;
    },
    refresh: () => promised(refresh),
  };
}
