import { idAt } from "../ids.ts";
import type { StoreDatabase } from "./database.ts";
import { PENDING } from "./schema.ts";

export interface PruneStep {
  deliveries: number;
  attempts: number;
  events: number;
  /** Whether everything that is old enough has been looked at. */
  done: boolean;
}

/** One pass over what is older than a moment, from the oldest on. */
export interface PruneRound {
  /** Looks at a few hundred rows; a few milliseconds. */
  step(): PruneStep;
}

export interface Retention {
  /** `cutoff` is schedule time: what finished before it goes. */
  beginRound(cutoff: number): PruneRound;
}

const STEP_ROWS = 400;
/** Free pages given back to the file system in one step. */
const STEP_PAGES = 200;

/**
 * Deliveries first, with their attempts, then events that have no delivery left. A pending delivery keeps
 * its event; an event is kept for the retention even when nobody subscribed, to recognise repeats.
 */
export function createRetention({ sqlite, transaction }: StoreDatabase): Retention {
  const oldDeliveries = sqlite.prepare<{ id: number; finished: number }, [number, number, number]>(
    `SELECT id, status <> ${PENDING} AND finished_at < ? AS finished FROM deliveries
     WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ${STEP_ROWS}`,
  );
  const dropAttempts = sqlite.prepare("DELETE FROM attempts WHERE delivery_id = ?");
  const dropDelivery = sqlite.prepare("DELETE FROM deliveries WHERE id = ?");
  const oldEvents = sqlite.prepare<{ id: number; free: number }, [number, number]>(
    `SELECT id, NOT EXISTS (SELECT 1 FROM deliveries WHERE event_id = events.id) AS free FROM events
     WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ${STEP_ROWS}`,
  );
  const dropEvent = sqlite.prepare("DELETE FROM events WHERE id = ?");
  const dropWebhooks = sqlite.prepare(
    `DELETE FROM webhooks WHERE deleted_at IS NOT NULL
     AND NOT EXISTS (SELECT 1 FROM deliveries WHERE webhook_id = webhooks.id)`,
  );
  const freePages = sqlite.prepare<{ freelist_count: number }, []>("PRAGMA freelist_count");

  const pruneDeliveries = (from: number, through: number, cutoff: number) => {
    let attempts = 0;
    let deliveries = 0;
    const rows = oldDeliveries.all(cutoff, from, through);
    for (const { id, finished } of rows) {
      if (!finished) continue;
      attempts += dropAttempts.run(id).changes;
      deliveries += dropDelivery.run(id).changes;
    }
    return { attempts, deliveries, last: rows.length < STEP_ROWS ? null : (rows.at(-1)?.id ?? null) };
  };

  const pruneEvents = (from: number, through: number) => {
    let dropped = 0;
    const rows = oldEvents.all(from, through);
    for (const { id, free } of rows) if (free) dropped += dropEvent.run(id).changes;
    return { events: dropped, last: rows.length < STEP_ROWS ? null : (rows.at(-1)?.id ?? null) };
  };

  return {
    beginRound(cutoff) {
      const through = idAt(cutoff);
      let phase: "deliveries" | "events" | "space" = "deliveries";
      let from = 0;

      const advance = (last: number | null, next: typeof phase): void => {
        from = last === null ? 0 : last + 1;
        if (last === null) phase = next;
      };

      const prune = (): PruneStep => {
        const step: PruneStep = { deliveries: 0, attempts: 0, events: 0, done: false };
        if (phase === "deliveries") {
          const { last, ...counts } = pruneDeliveries(from, through, cutoff);
          advance(last, "events");
          return { ...step, ...counts };
        }
        const { last, events } = pruneEvents(from, through);
        advance(last, "space");
        return { ...step, events };
      };

      return {
        step() {
          if (phase !== "space") return transaction("relaxed", prune);
          if ((freePages.get()?.freelist_count ?? 0) > STEP_PAGES) {
            sqlite.exec(`PRAGMA incremental_vacuum(${STEP_PAGES})`);
            return { deliveries: 0, attempts: 0, events: 0, done: false };
          }
          transaction("relaxed", () => dropWebhooks.run());
          return { deliveries: 0, attempts: 0, events: 0, done: true };
        },
      };
    },
  };
}
