import type { StoreDatabase } from "./database.ts";
import { isSqliteFault } from "./faults.ts";
import type { Participant } from "./participant.ts";

/**
 * Each organization's events by type in the order of their ids: the table `event_feed`. An index would say the same,
 * but would be written to at once, in another page for each type, which is a tenth of what storing an event takes.
 * The table is brought up to date for thousands of events together; what it lacks has larger ids than all that it
 * has, and is few enough to be looked through.
 */
export interface EventFeed extends Participant {
  /** Notes that events were stored (or more, where some were not), and takes them in with the others when there are many; a part of their transaction. */
  grew(events: number): void;
  /** Ids of an organization's events of some types (positions in EVENT_TYPES) below one, newest first. */
  idsBelow(
    beforeId: number,
    of: { organizationId: number; types: readonly number[]; limit: number },
  ): number[];
  /** Takes out an event that is being dropped; a part of that transaction. */
  drop(event: { id: number; organizationId: number; type: number }): void;
}

/** Events that the table may lack: looking through them takes about a millisecond. */
const TAKE_IN_AFTER = 4_096;

export function createEventFeed({ sqlite, transaction }: StoreDatabase): EventFeed {
  const newestIn = sqlite.prepare<{ id: number | null }, []>(
    `SELECT max((SELECT max(event_id) FROM event_feed WHERE organization_id = o.id AND type = t.type)) AS id
     FROM organizations o, (SELECT 0 AS type UNION ALL SELECT 1 UNION ALL SELECT 2) t`,
  );
  const behindOf = sqlite.prepare<{ n: number }, [number]>("SELECT count(*) AS n FROM events WHERE id > ?");
  const newest = sqlite.prepare<{ id: number | null }, []>("SELECT max(id) AS id FROM events");
  const takeIn = sqlite.prepare<void, [number]>(
    "INSERT OR IGNORE INTO event_feed SELECT organization_id, type, id FROM events WHERE id > ?",
  );
  const inFeed = sqlite.prepare<{ id: number }, [number, number, number, number]>(
    `SELECT event_id AS id FROM event_feed WHERE organization_id = ? AND type = ? AND event_id < ?
     ORDER BY event_id DESC LIMIT ?`,
  );
  const notYet = sqlite.prepare<{ id: number; type: number }, [number, number, number]>(
    "SELECT id, type FROM events WHERE id > ? AND id < ? AND organization_id = ? ORDER BY id DESC",
  );
  const drop = sqlite.prepare<void, [number, number, number]>(
    "DELETE FROM event_feed WHERE organization_id = ? AND type = ? AND event_id = ?",
  );

  /** All events up to this id are in the table; null until it was asked, as another process may have been at work before. */
  let through: number | null = null;
  let behind = 0;
  /** What both are once the present transaction is committed. */
  let next: { through: number; behind: number } | null = null;

  const known = (): number => {
    if (through === null) {
      through = newestIn.get()?.id ?? 0;
      behind = behindOf.get(through)?.n ?? 0;
    }
    return through;
  };

  /** Where rows came past this store, as with a restore of another program's, they are more than can be looked through. */
  const catchUp = (): void => {
    if (known() >= 0 && behind < 2 * TAKE_IN_AFTER) return;
    try {
      transaction("relaxed", () => takeIn.run(known()));
      through = newest.get()?.id ?? 0;
      behind = 0;
    } catch (error) {
      // It takes longer, then: the store has said why it cannot write.
      if (!isSqliteFault(error)) throw error;
    }
  };

  return {
    grew(events) {
      const from = known();
      if (behind + events < TAKE_IN_AFTER) {
        next = { through: from, behind: behind + events };
        return;
      }
      takeIn.run(from);
      next = { through: newest.get()?.id ?? from, behind: 0 };
    },
    committed() {
      if (next) ({ through, behind } = next);
      next = null;
    },
    rolledBack() {
      next = null;
    },
    idsBelow(beforeId, { organizationId, types, limit }) {
      catchUp();
      const from = known();
      const ids = notYet
        .all(from, beforeId, organizationId)
        .flatMap(({ id, type }) => (types.includes(type) ? [id] : []));
      if (ids.length < limit) {
        const rows = types.flatMap((type) =>
          inFeed.all(organizationId, type, Math.min(beforeId, from + 1), limit),
        );
        ids.push(...rows.map(({ id }) => id).sort((a, b) => b - a));
      }
      return ids.slice(0, limit);
    },
    drop: ({ id, organizationId, type }) => {
      drop.run(organizationId, type, id);
    },
  };
}
