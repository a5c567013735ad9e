import { statSync } from "node:fs";
import { idAt, timeOfId } from "../../ids.ts";
import type { AttemptError } from "../../outcomes.ts";
import { FAILED, PENDING } from "../common/delivery-row.ts";
import type { LatestFailure, Overview } from "../overview.ts";
import type { StoreDatabase } from "./database.ts";
import { promised } from "./faults.ts";
import { FIRST_FRESH, FRESH_BY_WEBHOOK, FRESH_COUNT } from "./fresh-deliveries.ts";
import { TRIED } from "./schema.ts";
import type { WebhookLog } from "./webhook-log.ts";

const PENDING_COUNT = `SELECT (SELECT coalesce(sum(${FRESH_COUNT}), 0) FROM webhooks w)
  + (SELECT count(*) FROM deliveries INDEXED BY deliveries_tried WHERE ${TRIED}) AS n`;

/** Read beside the daemon, whose log may lack what came a moment ago. */
const PENDING_BY_WEBHOOK = `SELECT webhook_id AS webhookId, sum(n) AS n FROM (
  ${FRESH_BY_WEBHOOK}
  UNION ALL SELECT webhook_id, count(*) FROM deliveries INDEXED BY deliveries_tried WHERE ${TRIED} GROUP BY webhook_id
  ) GROUP BY webhook_id HAVING sum(n) > 0`;

const OLDEST_PENDING = `SELECT min(id) AS id FROM
  (SELECT ${FIRST_FRESH} AS id FROM webhooks w WHERE w.enabled = 1
   UNION ALL SELECT (SELECT min(id) FROM deliveries INDEXED BY deliveries_tried
   WHERE webhook_id = w.id AND ${TRIED}) FROM webhooks w WHERE w.enabled = 1)`;

/** Attempts have no index by time, as each would pay for it: their deliveries lead to them. */
const ATTEMPTS_SINCE = `WITH d AS
  (SELECT id FROM deliveries WHERE id >= ?1 AND (status = ${PENDING} OR finished_at >= ?2)
   UNION SELECT id FROM deliveries INDEXED BY deliveries_tried WHERE ${TRIED})
  SELECT error, count(*) AS n FROM
  (SELECT a.error AS error FROM d CROSS JOIN attempts a ON a.delivery_id = d.id WHERE a.started_at >= ?2
   UNION ALL SELECT l.last_error FROM d CROSS JOIN deliveries l ON l.id = d.id WHERE l.last_started_at >= ?2)
  GROUP BY error`;

/** Deliveries that ended with their webhook carry no attempt: past so many of them none is looked for. */
const LOOKED_AT = 10_000;

const newest = (index: string, condition: string): string =>
  `SELECT * FROM (SELECT last_status AS status, last_error AS error, last_detail AS detail, last_started_at AS at
     FROM deliveries INDEXED BY ${index} WHERE webhook_id = ?1 AND ${condition} ORDER BY id DESC LIMIT ${LOOKED_AT})
   WHERE at IS NOT NULL AND error IS NOT NULL`;

const LATEST_FAILURE = `SELECT status, error, detail FROM
  (${newest("deliveries_tried", TRIED)} UNION ALL ${newest("deliveries_failed", `status = ${FAILED}`)})
  ORDER BY at DESC LIMIT 1`;

const WAITING_UNTIL = "SELECT id AS webhookId, paused_until AS until FROM webhooks WHERE paused_until > ?";

/** `path` is the database's file. */
export function createOverview(
  { sqlite }: StoreDatabase,
  { webhookLog, path, schedule }: { webhookLog: WebhookLog; path: string; schedule: () => number },
): Overview {
  return {
    countPending: () =>
      promised(() => {
        webhookLog.catchUpIfPossible();
        return sqlite.query<{ n: number }, []>(PENDING_COUNT).get()?.n ?? 0;
      }),
    pendingByWebhook: () =>
      promised(() => {
        const rows = sqlite.query<{ webhookId: number; n: number }, []>(PENDING_BY_WEBHOOK).all();
        return new Map(rows.map(({ webhookId, n }) => [webhookId, n]));
      }),
    oldestPending: () =>
      promised(() => {
        webhookLog.catchUpIfPossible();
        const id = sqlite.query<{ id: number | null }, []>(OLDEST_PENDING).get()?.id ?? null;
        return id === null ? null : timeOfId(id);
      }),
    attemptsSince: (since, horizon) =>
      promised(() => {
        const rows = sqlite
          .query<{ error: AttemptError | null; n: number }, [number, number]>(ATTEMPTS_SINCE)
          .all(idAt(horizon), since);
        return new Map(rows.map(({ error, n }) => [error, n]));
      }),
    latestFailures: (webhookIds) =>
      promised(() => {
        const query = sqlite.query<LatestFailure, [number]>(LATEST_FAILURE);
        const found = webhookIds.map((id) => [id, query.get(id)] as const);
        return new Map(found.filter((pair): pair is [number, LatestFailure] => pair[1] !== null));
      }),
    waitingUntil: () =>
      promised(() => {
        const rows = sqlite
          .query<{ webhookId: number; until: number }, [number]>(WAITING_UNTIL)
          .all(schedule());
        return new Map(rows.map(({ webhookId, until }) => [webhookId, until]));
      }),
    bytes: () =>
      promised(() =>
        [path, `${path}-wal`].reduce(
          (sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0),
          0,
        ),
      ),
  };
}
