import { EVENT_TYPES, type EventType } from "../../scan-words.ts";
import { compileFilter, type Passes } from "../../webhook-filter.ts";
import {
  addSubscriber,
  createSubscribers,
  type Subscribers,
  subscribersTo,
} from "../../webhook-subscribers.ts";
import type { Organization } from "../organizations.ts";
import type { Query, Work } from "./pool.ts";

/**
 * What every event asks for, in memory: organizations and subscriptions. Whatever changes them also raises `version`
 * in `meta`, in the same transaction, so that one small question tells whether all of it still holds.
 */
export interface Directory {
  version(): number;
  organizations(): readonly Organization[];
  subscribers(organizationId: number, type: number, body: string): readonly number[];
  /** Reads what has changed since the version that is known; answers the webhooks among it. */
  refresh(query: Query): Promise<number[]>;
}

/** Raises `version`; part of each transaction that changes what is in memory, and last in it, as others wait for it. */
export async function raiseVersion(query: Query): Promise<number> {
  const [row] = await query<{ version: number }>(
    "UPDATE meta SET value = (value::bigint + 1)::text WHERE key = 'version' RETURNING value::float8 AS version",
  );
  return row?.version ?? 0;
}

/** Such a transaction that has no use for the version itself. */
export const raising =
  <T>(run: Work<T>): Work<T> =>
  async (query) => {
    const result = await run(query);
    await raiseVersion(query);
    return result;
  };

/** The present version, as SQL. */
export const VERSION_NOW = "(SELECT value::float8 FROM meta WHERE key = 'version')";

interface Subscription {
  organizationId: number;
  events: EventType[];
  passes: Passes | null;
}

export function createDirectory(): Directory {
  let version = -1;
  let organizations: readonly Organization[] = [];
  const subscriptions = new Map<number, Subscription>();
  let byOrganization: Map<number, Subscribers[]> | null = null;

  const build = (): Map<number, Subscribers[]> => {
    const built = new Map<number, Subscribers[]>();
    for (const [id, { organizationId, events, passes }] of [...subscriptions].sort(([a], [b]) => a - b)) {
      const byType = built.get(organizationId) ?? EVENT_TYPES.map(createSubscribers);
      built.set(organizationId, byType);
      for (const event of events) addSubscriber(byType[EVENT_TYPES.indexOf(event)], id, passes);
    }
    return built;
  };

  return {
    version: () => version,
    organizations: () => organizations,
    subscribers(organizationId, type, body) {
      byOrganization ??= build();
      return subscribersTo(byOrganization.get(organizationId)?.[type], body);
    },
    async refresh(query) {
      // Before what it tells of is read: a change between the two is read again.
      const [now] = await query<{ version: number }>(`SELECT ${VERSION_NOW} AS version`);
      const next = now?.version ?? 0;
      if (next === version) return [];
      const changed = await query<{
        id: number;
        organizationId: number;
        events: string;
        filter: string | null;
        isOn: boolean;
      }>(
        `SELECT id, organization_id AS "organizationId", events, filter, enabled AND deleted_at IS NULL AS "isOn"
         FROM webhooks WHERE changed_in > $1`,
        [version],
      );
      const list = await query<Organization>(SELECT_ORGANIZATIONS);
      if (JSON.stringify(list) !== JSON.stringify(organizations)) organizations = [...list];
      for (const { id, organizationId, events, filter, isOn } of changed) {
        const passes = filter === null ? null : compileFilter(JSON.parse(filter));
        if (isOn) subscriptions.set(id, { organizationId, events: JSON.parse(events), passes });
        else subscriptions.delete(id);
      }
      if (changed.length > 0) byOrganization = null;
      version = next;
      return changed.map(({ id }) => id);
    },
  };
}

export const ORGANIZATION_COLUMNS = `id, uuid, name, plan, created_at::float8 AS "createdAt"`;
export const SELECT_ORGANIZATIONS = `SELECT ${ORGANIZATION_COLUMNS} FROM organizations ORDER BY id`;
