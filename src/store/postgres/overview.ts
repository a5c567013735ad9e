import { idAt, timeOfId } from "../../ids.ts";
import type { AttemptError } from "../../outcomes.ts";
import { FAILED } from "../common/delivery-row.ts";
import type { LatestFailure, Overview } from "../overview.ts";
import type { PostgresDatabase } from "./database.ts";

/** Sums over everything may take so long. */
const LIMIT_MS = 60_000;

const ATTEMPTS_SINCE = `SELECT error, count(*)::int4 AS n FROM (
    SELECT error FROM attempts WHERE delivery_id >= $1 AND started_at >= $2
    UNION ALL SELECT last_error FROM deliveries WHERE id >= $1 AND finished_at >= $2 AND last_started_at >= $2
  ) made GROUP BY error`;

const OLDEST_PENDING = `SELECT min(first.id)::float8 AS id FROM webhooks w
  CROSS JOIN LATERAL (SELECT q.id FROM queue q WHERE q.webhook_id = w.id ORDER BY q.id LIMIT 1) first WHERE w.enabled`;

const newest = (table: string, condition: string): string =>
  `(SELECT last_status AS status, last_error AS error, last_detail AS detail, last_started_at AS at FROM ${table}
    WHERE webhook_id = w.id AND ${condition} AND last_started_at IS NOT NULL AND last_error IS NOT NULL ORDER BY id DESC LIMIT 1)`;

const LATEST_FAILURES = `SELECT w.id AS "webhookId", f.status, f.error, f.detail FROM unnest($1::int[]) AS w(id)
  CROSS JOIN LATERAL (SELECT * FROM (${newest("queue", "tried")}
    UNION ALL ${newest("deliveries", `status = ${FAILED}`)}) any_of ORDER BY at DESC LIMIT 1) f`;

const WAITING_UNTIL = `SELECT id AS "webhookId", paused_until::float8 AS until FROM webhooks WHERE paused_until > $1`;

export function createOverview({ main }: PostgresDatabase, schedule: () => number): Overview {
  return {
    async countPending() {
      const [row] = await main.slowQuery<{ n: number }>(LIMIT_MS, "SELECT count(*)::int4 AS n FROM queue");
      return row?.n ?? 0;
    },
    async pendingByWebhook() {
      const rows = await main.slowQuery<{ webhookId: number; n: number }>(
        LIMIT_MS,
        `SELECT webhook_id AS "webhookId", count(*)::int4 AS n FROM queue GROUP BY webhook_id`,
      );
      return new Map(rows.map(({ webhookId, n }) => [webhookId, n]));
    },
    async oldestPending() {
      const [row] = await main.slowQuery<{ id: number | null }>(LIMIT_MS, OLDEST_PENDING);
      return row?.id == null ? null : timeOfId(row.id);
    },
    async attemptsSince(since, horizon) {
      const rows = await main.slowQuery<{ error: AttemptError | null; n: number }>(LIMIT_MS, ATTEMPTS_SINCE, [
        idAt(horizon),
        since,
      ]);
      return new Map(rows.map(({ error, n }) => [error, n]));
    },
    async latestFailures(webhookIds) {
      const rows = await main.slowQuery<LatestFailure & { webhookId: number }>(LIMIT_MS, LATEST_FAILURES, [
        webhookIds,
      ]);
      return new Map(rows.map(({ webhookId, ...failure }) => [webhookId, failure]));
    },
    async waitingUntil() {
      const rows = await main.slowQuery<{ webhookId: number; until: number }>(LIMIT_MS, WAITING_UNTIL, [
        schedule(),
      ]);
      return new Map(rows.map(({ webhookId, until }) => [webhookId, until]));
    },
    async bytes() {
      const [row] = await main.slowQuery<{ n: number }>(
        LIMIT_MS,
        "SELECT pg_database_size(current_database())::float8 AS n",
      );
      return row?.n ?? 0;
    },
  };
}
