import { and, asc, eq, isNull } from "drizzle-orm";
import { EVENT_TYPES } from "../../event-types.ts";
import { compileFilter } from "../../webhook-filter.ts";
import {
  addSubscriber,
  createSubscribers,
  type Subscribers,
  subscribersTo,
} from "../../webhook-subscribers.ts";
import type { StoreDatabase } from "./database.ts";
import { webhooks } from "./schema.ts";

/** Who gets what is asked for every event and changes rarely; only this process writes webhooks while it runs. */
export interface Subscriptions {
  /**
   * Ids of the enabled webhooks of an organization that want an event of a type (its position in EVENT_TYPES).
   * Its payload is read only where a webhook filters by it.
   */
  get(organizationId: number, type: number, body: string): readonly number[];
  clear(): void;
}

export function createSubscriptions({ orm }: StoreDatabase): Subscriptions {
  let cache: Map<number, Subscribers[]> | null = null;

  const build = (): Map<number, Subscribers[]> => {
    const built = new Map<number, Subscribers[]>();
    const enabled = and(eq(webhooks.enabled, true), isNull(webhooks.deletedAt));
    for (const row of orm.select().from(webhooks).where(enabled).orderBy(asc(webhooks.id)).all()) {
      const byType = built.get(row.organizationId) ?? EVENT_TYPES.map(createSubscribers);
      built.set(row.organizationId, byType);
      const passes = row.filter && compileFilter(row.filter);
      for (const event of row.events) addSubscriber(byType[EVENT_TYPES.indexOf(event)], row.id, passes);
    }
    return built;
  };

  return {
    get(organizationId, type, body) {
      cache ??= build();
      return subscribersTo(cache.get(organizationId)?.[type], body);
    },
    clear() {
      cache = null;
    },
  };
}
