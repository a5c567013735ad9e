import { and, asc, eq, isNull, sql } from "drizzle-orm";
import { EVENT_TYPES } from "../../scan-words.ts";
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
  /** Webhooks of an organization have changed; without one, those of any. */
  clear(organizationId?: number): void;
}

/** Organizations whose subscriptions are in memory. */
const MAX_KNOWN = 1_024;

export function createSubscriptions({ orm }: StoreDatabase): Subscriptions {
  const known = new Map<number, Subscribers[]>();
  const { id, events, filter } = webhooks;
  const enabledOf = orm
    .select({ id, events, filter })
    .from(webhooks)
    .where(
      and(
        eq(webhooks.organizationId, sql.placeholder("organizationId")),
        eq(webhooks.enabled, true),
        isNull(webhooks.deletedAt),
      ),
    )
    .orderBy(asc(webhooks.id))
    .prepare();

  /** Of one organization at a time: a change, or a start, costs nobody else anything. */
  const build = (organizationId: number): Subscribers[] => {
    const byType = EVENT_TYPES.map(createSubscribers);
    for (const row of enabledOf.all({ organizationId })) {
      const passes = row.filter && compileFilter(row.filter);
      for (const event of row.events) addSubscriber(byType[EVENT_TYPES.indexOf(event)], row.id, passes);
    }
    // With more of them than that, in turn, those that were asked for first would go right before they are asked for.
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(organizationId, byType);
    return byType;
  };

  return {
    get: (organizationId, type, body) =>
      subscribersTo((known.get(organizationId) ?? build(organizationId))[type], body),
    clear(organizationId) {
      if (organizationId === undefined) known.clear();
      else known.delete(organizationId);
    },
  };
}
