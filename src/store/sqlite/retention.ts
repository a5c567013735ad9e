import { idAt } from "../../ids.ts";
import { PENDING } from "../common/delivery-row.ts";
import type { PruneLimits, PruneStep, Retention } from "../retention.ts";
import type { StoreDatabase } from "./database.ts";
import type { EventFeed } from "./event-feed.ts";
import type { ExternalIds } from "./external-ids.ts";
import { promised } from "./faults.ts";
import type { SqliteStatistics } from "./statistics.ts";
import { LOGGED_THROUGH, type WebhookLog } from "./webhook-log.ts";

const STEP_ROWS = 400;
/** Looking is cheaper than deleting: where nothing is to go, steps grow up to this. */
const MAX_STEP_ROWS = 3_200;
/** Free pages given back to the file system in one step. */
const STEP_PAGES = 200;
/** Free pages up to this part of the file are kept: what comes next takes them again. */
const SPARE_PART = 0.1;

const NOTHING: PruneStep = { deliveries: 0, attempts: 0, events: 0, done: false };

interface RetentionParts {
  externalIds: Pick<ExternalIds, "load" | "dropOldRun">;
  webhookLog: Pick<WebhookLog, "catchUp">;
  feed: Pick<EventFeed, "drop">;
  statistics: Pick<SqliteStatistics, "prune">;
}

interface OldDelivery {
  id: number;
  webhookId: number;
  old: number;
  /** How many attempts lie in its own row. */
  attempts: number;
}

interface OldEvent {
  id: number;
  organizationId: number;
  type: number;
  old: number;
}

/** Rows of one table, looked at from the oldest on; `drop` answers whether a row went. */
interface Walk<Row> {
  rows: (from: number, limit: number) => Row[];
  drop: (row: Row) => boolean;
}

/** As the port says; last go the scanners' ids of what is gone. */
export function createRetention(
  { sqlite, transaction, copyWal }: StoreDatabase,
  { externalIds, webhookLog, feed, statistics }: RetentionParts,
): Retention {
  const oldDeliveries = sqlite.prepare<OldDelivery, [number, number, number, number]>(
    `SELECT id, webhook_id AS webhookId, status <> ${PENDING} AND finished_at < ? AS old, last_started_at IS NOT NULL AS attempts FROM deliveries
     WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?`,
  );
  const dropAttempts = sqlite.prepare("DELETE FROM attempts WHERE delivery_id = ?");
  const dropDelivery = sqlite.prepare("DELETE FROM deliveries WHERE id = ?");
  const dropLogged = sqlite.prepare("DELETE FROM webhook_log WHERE webhook_id = ? AND delivery_id = ?");
  const oldEvents = sqlite.prepare<OldEvent, [number, number, number]>(
    `SELECT id, organization_id AS organizationId, type, NOT EXISTS (SELECT 1 FROM deliveries WHERE event_id = events.id) AS old FROM events
     WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?`,
  );
  const dropEvent = sqlite.prepare("DELETE FROM events WHERE id = ?");
  const spentWebhooks = sqlite.prepare<{ id: number }, []>(
    `SELECT id FROM webhooks WHERE deleted_at IS NOT NULL
     AND NOT EXISTS (SELECT 1 FROM webhook_log WHERE webhook_id = webhooks.id)`,
  );
  const pages = sqlite.prepare<{ free: number; all: number }, []>(
    "SELECT freelist_count AS free, page_count AS 'all' FROM pragma_freelist_count, pragma_page_count",
  );

  // With foreign keys off it must be certain: also of what the log might lack.
  const dropWebhook = sqlite.prepare(
    `DELETE FROM webhooks WHERE id = ?1
     AND NOT EXISTS (SELECT 1 FROM deliveries WHERE id > ${LOGGED_THROUGH} AND webhook_id = ?1)`,
  );

  /** Drops deleted webhooks that have no delivery left. */
  const dropWebhooks = (): void => {
    webhookLog.catchUp();
    const spent = spentWebhooks.all();
    if (spent.length === 0) return;
    // The log says that no delivery refers to them; SQLite would look through all deliveries to see the same.
    sqlite.exec("PRAGMA foreign_keys = OFF");
    try {
      transaction("relaxed", () => {
        for (const { id } of spent) dropWebhook.run(id);
      });
    } finally {
      sqlite.exec("PRAGMA foreign_keys = ON");
    }
  };

  /** Gives some free pages back; false when only the spare ones are left. */
  const giveBack = (): boolean => {
    const count = pages.get();
    if (!count || count.free <= Math.max(STEP_PAGES, count.all * SPARE_PART)) return false;
    transaction("relaxed", () => sqlite.exec(`PRAGMA incremental_vacuum(${STEP_PAGES})`));
    return true;
  };

  const beginRound = ({ createdBefore, finishedBefore }: PruneLimits): (() => PruneStep) => {
    externalIds.load();
    const through = idAt(createdBefore) - 1;
    let attempts = 0;
    const deliveries = createWalk({
      rows: (from, limit) => oldDeliveries.all(finishedBefore, from, through, limit),
      drop: ({ id, webhookId, attempts: inRow }) => {
        dropLogged.run(webhookId, id);
        attempts += dropAttempts.run(id).changes + inRow;
        return dropDelivery.run(id).changes > 0;
      },
    });
    const events = createWalk({
      rows: (from, limit) => oldEvents.all(from, through, limit),
      drop: (event) => {
        feed.drop(event);
        return dropEvent.run(event.id).changes > 0;
      },
    });
    let gaveBack = false;

    const prune = (): PruneStep => {
      if (deliveries.done) return { ...NOTHING, events: events.step() };
      attempts = 0;
      const dropped = deliveries.step();
      return { ...NOTHING, deliveries: dropped, attempts };
    };

    return () => {
      if (!events.done) return transaction("relaxed", prune);
      if (externalIds.dropOldRun()) return NOTHING;
      if (transaction("relaxed", () => statistics.prune(finishedBefore, STEP_ROWS)) > 0) return NOTHING;
      if (giveBack()) {
        gaveBack = true;
        return NOTHING;
      }
      dropWebhooks();
      // The file itself shrinks when the log is copied into it, which could be long from now.
      if (gaveBack) copyWal();
      return { ...NOTHING, done: true };
    };
  };

  return {
    beginRound: (limits) =>
      promised(() => {
        const step = beginRound(limits);
        return { step: () => promised(step) };
      }),
  };
}

function createWalk<Row extends { id: number; old: number }>({ rows, drop }: Walk<Row>) {
  let from = 0;
  let limit = STEP_ROWS;
  let done = false;
  return {
    get done() {
      return done;
    },
    /** Looks at the next rows and answers how many it dropped. */
    step(): number {
      const seen = rows(from, limit);
      let dropped = 0;
      for (const row of seen) if (row.old && drop(row)) dropped += 1;
      done = seen.length < limit;
      from = (seen.at(-1)?.id ?? from) + 1;
      limit = dropped > 0 ? STEP_ROWS : Math.min(MAX_STEP_ROWS, limit * 2);
      return dropped;
    },
  };
}
