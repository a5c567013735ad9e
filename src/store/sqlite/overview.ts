import { idAt } from "../../ids.ts";
import type { StoreDatabase } from "./database.ts";
import { FRESH_COUNT } from "./fresh-deliveries.ts";
import { FRESH, PENDING, TRIED } from "./schema.ts";
import { LOGGED_THROUGH } from "./webhook-log.ts";

/** What `armorhooks status` asks: read once, by a process of its own, so a second is not too long. */
export interface Overview {
  /** Pending deliveries by webhook id; webhooks without any are left out. */
  pendingByWebhook(): Map<number, number>;
  /**
   * How many attempts were made since a wall time, by how they failed (null: they succeeded). Deliveries
   * that were created before `horizon` (schedule time) count only while they are pending.
   */
  attemptsSince(since: number, horizon: number): Map<string | null, number>;
}

export function createOverview({ sqlite }: StoreDatabase): Overview {
  return {
    pendingByWebhook: () => {
      // The daemon's log may lack what came a moment ago.
      const rows = sqlite
        .query<{ webhookId: number; n: number }, []>(
          `SELECT webhook_id AS webhookId, sum(n) AS n FROM (
             SELECT w.id AS webhook_id, ${FRESH_COUNT} AS n FROM webhooks w
             UNION ALL SELECT webhook_id, count(*) FROM deliveries INDEXED BY deliveries_tried
             WHERE ${TRIED} GROUP BY webhook_id
             UNION ALL SELECT webhook_id, count(*) FROM deliveries
             WHERE id > ${LOGGED_THROUGH} AND ${FRESH} GROUP BY webhook_id) GROUP BY webhook_id HAVING sum(n) > 0`,
        )
        .all();
      return new Map(rows.map(({ webhookId, n }) => [webhookId, n]));
    },
    // Attempts have no index by time, as each would pay for it: their deliveries lead to them.
    attemptsSince: (since, horizon) => {
      const rows = sqlite
        .query<{ error: string | null; n: number }, [number, number]>(
          `WITH d AS
           (SELECT id FROM deliveries WHERE id >= ?1 AND (status = ${PENDING} OR finished_at >= ?2)
            UNION SELECT id FROM deliveries INDEXED BY deliveries_tried WHERE ${TRIED})
           SELECT error, count(*) AS n FROM
           (SELECT a.error AS error FROM d CROSS JOIN attempts a ON a.delivery_id = d.id WHERE a.started_at >= ?2
            UNION ALL SELECT l.last_error FROM d CROSS JOIN deliveries l ON l.id = d.id WHERE l.last_started_at >= ?2)
           GROUP BY error`,
        )
        .all(idAt(horizon), since);
      return new Map(rows.map(({ error, n }) => [error, n]));
    },
  };
}
