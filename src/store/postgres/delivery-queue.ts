import type { Clock } from "../../clock.ts";
import { EVENT_TYPES, type EventType } from "../../event-types.ts";
import { idAt } from "../../ids.ts";
import { compileFilter } from "../../webhook-filter.ts";
import type {
  Claim,
  ClaimedDelivery,
  ClaimRequest,
  DeliveryQueue,
  Ending,
  QueueChanges,
  RecoverRange,
} from "../delivery-queue.ts";
import type { WebhookLabel } from "../webhooks.ts";
import type { Announcer } from "./announcements.ts";
import type { Claims } from "./claims.ts";
import type { PostgresDatabase } from "./database.ts";
import { type Partitions, partitionIn } from "./partitions.ts";
import { createResultWriter } from "./results.ts";
import { FAILED } from "./schema.ts";
import type { PostgresStatistics } from "./statistics.ts";

export interface DeliveryQueueParts {
  claims: Claims;
  partitions: Partitions;
  announcer: Announcer;
  clock: Clock;
  nextId: () => number;
  /** No id of what is pending now is above. */
  ceiling: () => number;
  /** Told after a change that others keep in memory. */
  changed: () => Promise<void>;
  statistics: Pick<PostgresStatistics, "count" | "countEnded">;
  /** The engine is there: from now on this daemon takes its share. */
  onWatched: () => void;
  makeDays: (ids: readonly number[]) => Promise<void>;
}

export interface PostgresDeliveryQueue extends DeliveryQueue {
  /** Tells the engine of webhooks with something due, where they are this daemon's to send to. */
  tellDue(webhookIds: readonly number[]): void;
  tellChanged(webhookIds: readonly number[]): void;
  tellGained(): void;
  tellLost(): void;
  /** Looks for webhooks with something due that nobody has told of. */
  poll(): Promise<void>;
}

/** A long backlog is ended in steps, so that nobody else waits for it. */
const END_STEP = 1_000;
/** Events looked at in one step of a recovery. */
const RECOVER_STEP = 2_000;
/** Ids are made on the database's clock, and so are the times of receipt: they differ by a batch at most. */
const CLOCK_MARGIN_MS = 60_000;

const COLUMNS = `q.id, q.event_id, q.attempt_count, q.budget_from, q.due_at, q.retries, q.tried`;

/** What is pending, less what is claimed ($3), with its payload; and when the next is due. */
const CLAIM = `WITH held AS MATERIALIZED (SELECT unnest($3::bigint[]) AS id),
  fresh AS (
    SELECT * FROM (SELECT ${COLUMNS} FROM queue q WHERE q.webhook_id = $1 AND NOT q.tried ORDER BY q.id
      LIMIT CASE WHEN $2::int > 0 THEN $2::int + cardinality($3::bigint[]) ELSE 0 END) q
    WHERE NOT EXISTS (SELECT 1 FROM held WHERE held.id = q.id) ORDER BY q.id LIMIT $2::int
  ), again AS (
    SELECT * FROM (SELECT ${COLUMNS} FROM queue q WHERE q.webhook_id = $1 AND q.tried AND q.due_at <= $5::bigint
      AND coalesce(q.last_started_at, 0) < $6::bigint ORDER BY q.due_at, q.id
      LIMIT CASE WHEN $4::int > 0 THEN $4::int + cardinality($3::bigint[]) ELSE 0 END) q
    WHERE NOT EXISTS (SELECT 1 FROM held WHERE held.id = q.id) ORDER BY q.due_at, q.id LIMIT $4::int
  )
  SELECT c.id::float8 AS id, c.event_id::float8 AS "eventId", c.attempt_count AS "attemptCount",
    c.budget_from AS "budgetFrom", c.due_at::float8 AS "dueAt", c.retries, c.tried, e.body
  FROM (SELECT * FROM fresh UNION ALL SELECT * FROM again) c
  CROSS JOIN LATERAL (SELECT body FROM events WHERE events.id = c.event_id LIMIT 1) e
  UNION ALL
  SELECT NULL, NULL, 0, 0, CASE WHEN $4::int > 0 THEN
    (SELECT min(due_at) FROM queue WHERE webhook_id = $1 AND tried AND due_at > $7::bigint) END::float8, 0, true, NULL`;

interface ClaimRow {
  id: number | null;
  eventId: number;
  attemptCount: number;
  budgetFrom: number;
  dueAt: number | null;
  retries: number;
  tried: boolean;
  body: string;
}

/** The next events of a stretch; those that are not of the range have no body, and bodies are read only where they are asked for ($7). */
const RECOVER = `SELECT e.id::float8 AS id,
    CASE WHEN e.organization_id = $3 AND e.type = ANY($4::smallint[]) AND e.received_at BETWEEN $5 AND $6
      THEN CASE WHEN $7::boolean THEN e.body ELSE '' END END AS body
  FROM events e WHERE e.id BETWEEN $1 AND $2 ORDER BY e.id LIMIT ${RECOVER_STEP}`;
/** A step of a recovery may take so long. */
const LIMIT_MS = 60_000;

const HAS_DUE = `EXISTS (SELECT 1 FROM queue q WHERE q.webhook_id = w.id AND NOT q.tried)
  OR EXISTS (SELECT 1 FROM queue q WHERE q.webhook_id = w.id AND q.tried AND q.due_at <= $2::bigint)`;

const END = `WITH chosen AS (
    SELECT ctid FROM queue WHERE webhook_id = $1 AND id <= $2 ORDER BY id LIMIT ${END_STEP} FOR UPDATE
  ), gone AS (DELETE FROM queue q USING chosen WHERE q.ctid = chosen.ctid RETURNING q.*)
  INSERT INTO deliveries (webhook_id, id, event_id, status, attempt_count, budget_from, created_at, finished_at,
    last_status, last_error)
  SELECT webhook_id, id, event_id, ${FAILED}, attempt_count, budget_from, created_at, $4, last_status, $3 FROM gone`;

/** Takes finished deliveries back into the queue; their latest attempts join those before. Conditions on `d` follow. */
const revive = (condition: string, dueAt: string): string => `WITH gone AS (
    DELETE FROM deliveries d WHERE ${condition} RETURNING d.*
  ), kept AS (
    INSERT INTO attempts SELECT id, attempt_count, last_started_at, last_duration_ms, last_status, last_error,
      last_detail, last_excerpt FROM gone WHERE last_started_at IS NOT NULL ON CONFLICT DO NOTHING
  )
  INSERT INTO queue (webhook_id, id, event_id, attempt_count, budget_from, due_at, tried, retries, created_at,
    last_status, last_error, last_detail, last_started_at)
  SELECT webhook_id, id, event_id, attempt_count, attempt_count, ${dueAt}, true, 1, created_at,
    last_status, last_error, last_detail, last_started_at FROM gone`;

export function createDeliveryQueue(
  database: PostgresDatabase,
  parts: DeliveryQueueParts,
): PostgresDeliveryQueue {
  const { main, worker } = database;
  const { claims, partitions, announcer, clock, nextId, ceiling } = parts;
  const watchers = new Set<QueueChanges>();
  const results = createResultWriter(worker, { claims, clock, ceiling });

  const tellDue = (webhookIds: readonly number[]): void => {
    for (const id of webhookIds) {
      if (partitions.epochFor(id) !== null) for (const watcher of watchers) watcher.due(id);
    }
  };

  const tellEverybody = (webhookId: number): void => {
    tellDue([webhookId]);
    announcer.tell({ due: [webhookId] });
  };

  const claim = async (request: ClaimRequest): Promise<Claim> => {
    const { webhookId, fresh: wantedFresh, again: wantedAgain } = request;
    const epoch = partitions.epochFor(webhookId);
    const found: Claim = {
      fresh: [],
      again: [],
      moreFresh: false,
      moreAgain: false,
      nextDueAt: wantedAgain > 0 ? Number.POSITIVE_INFINITY : null,
    };
    if (epoch === null) return found;
    const reading = claims.beginReading(webhookId);
    try {
      const rows = await worker.query<ClaimRow>(CLAIM, [
        webhookId,
        wantedFresh,
        claims.ids(webhookId),
        wantedAgain,
        Math.min(request.dueBy, Number.MAX_SAFE_INTEGER),
        Math.min(request.triedBefore, Number.MAX_SAFE_INTEGER),
        Math.min(request.dueBy, clock.schedule()),
      ]);
      // Meanwhile it may have become another daemon's.
      if (partitions.epochFor(webhookId) !== epoch) return found;
      let fresh = 0;
      let again = 0;
      for (const { id, dueAt, retries, tried, ...row } of rows) {
        if (id === null) {
          if (wantedAgain > 0) found.nextDueAt = dueAt ?? Number.POSITIVE_INFINITY;
          continue;
        }
        if (tried) again += 1;
        else fresh += 1;
        if (claims.get(webhookId, id)) continue;
        if (!reading.isSure(id)) {
          found[tried ? "moreAgain" : "moreFresh"] = true;
          continue;
        }
        claims.add(webhookId, id, { epoch, retries });
        const delivery: ClaimedDelivery = { id, webhookId, ...row, dueAt: tried ? (dueAt ?? 0) : 0 };
        (tried ? found.again : found.fresh).push(delivery);
      }
      // Of what was not asked for there may be any number.
      found.moreFresh ||= fresh === wantedFresh;
      found.moreAgain ||= wantedAgain > 0 && again === wantedAgain;
      return found;
    } finally {
      reading.end();
    }
  };

  const recoverStep = async (
    range: RecoverRange,
    fromId: number,
  ): Promise<{ recovered: number; next: number | null }> => {
    const { webhookId, since, until } = range;
    const [webhook] = await main.query<{ organizationId: number; events: string; filter: string | null }>(
      `SELECT organization_id AS "organizationId", events, filter FROM webhooks WHERE id = $1 AND deleted_at IS NULL`,
      [webhookId],
    );
    // Deleted since the step before: nothing would ever end what it got now.
    if (!webhook) return { recovered: 0, next: null };
    const types = (JSON.parse(webhook.events) as EventType[]).map((type) => EVENT_TYPES.indexOf(type));
    const passes = webhook.filter === null ? null : compileFilter(JSON.parse(webhook.filter));
    const rows = await main.slowQuery<{ id: number; body: string | null }>(LIMIT_MS, RECOVER, [
      fromId,
      idAt(until + CLOCK_MARGIN_MS),
      webhook.organizationId,
      types,
      since,
      until,
      passes !== null,
    ]);
    const wanted = rows.flatMap(({ id, body }) =>
      body !== null && (!passes || passes(JSON.parse(body))) ? [id] : [],
    );
    const last = rows.at(-1)?.id ?? null;
    const recovered = wanted.length === 0 ? 0 : await recoverEvents(webhookId, wanted);
    return { recovered, next: rows.length === RECOVER_STEP && last !== null ? last + 1 : null };
  };

  /** All in one transaction that holds the webhook, so that two recoveries do not send an event twice. */
  const recoverEvents = async (webhookId: number, eventIds: readonly number[]): Promise<number> => {
    const now = clock.schedule();
    const ids = eventIds.map(() => nextId());
    await parts.makeDays([ids[0] as number, ids.at(-1) as number]);
    return database.writing(() =>
      main.transaction(async (query) => {
        await query("SELECT 1 FROM webhooks WHERE id = $1 FOR NO KEY UPDATE", [webhookId]);
        const { count: revived } = await query(
          revive(
            `d.webhook_id = $1 AND d.event_id = ANY($2::bigint[]) AND d.status = ${FAILED}`,
            "$3::bigint",
          ),
          [webhookId, eventIds, now],
        );
        const { count: made } = await query(
          `INSERT INTO queue (webhook_id, id, event_id, due_at, created_at)
           SELECT $1, n.id, n.event_id, $4, $4 FROM unnest($2::bigint[], $3::bigint[]) AS n(event_id, id)
           WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.webhook_id = $1 AND d.event_id = n.event_id)
           AND n.event_id NOT IN (SELECT q.event_id FROM queue q WHERE q.webhook_id = $1)`,
          [webhookId, eventIds, ids, now],
        );
        return revived + made;
      }, LIMIT_MS),
    );
  };

  return {
    claim,
    mayBegin: (webhookId) => partitions.epochFor(webhookId) !== null,
    async record(attempts, deltas) {
      const { endings, due, disabled } = await database.writing(() => results.write(attempts, deltas));
      for (const { webhookId, deliveryId, keepsClaim } of attempts) {
        if (!keepsClaim) claims.free(webhookId, deliveryId);
      }
      parts.statistics.count(attempts);
      if (disabled) await parts.changed();
      if (due.size > 0) tellDue([...due]);
      return endings;
    },
    async pausedUntil(webhookId) {
      const [row] = await main.query<{ until: number }>(
        "SELECT paused_until::float8 AS until FROM webhooks WHERE id = $1 AND paused_until > $2",
        [webhookId, clock.schedule()],
      );
      return row?.until ?? null;
    },
    release(released) {
      for (const { webhookId, id } of released) claims.free(webhookId, id);
    },
    async retry(webhookId, deliveryId) {
      const now = clock.schedule();
      await database.writing(() =>
        main.transaction(async (query) => {
          const { count } = await query(
            `UPDATE queue SET due_at = $3, tried = true, retries = retries + 1, budget_from = attempt_count
             WHERE webhook_id = $1 AND id = $2`,
            [webhookId, deliveryId, now],
          );
          if (count === 0)
            await query(revive("d.webhook_id = $1 AND d.id = $2", "$3::bigint"), [
              webhookId,
              deliveryId,
              now,
            ]);
        }),
      );
      tellEverybody(webhookId);
    },
    async recover(range) {
      let recovered = 0;
      for (let from: number | null = idAt(range.since - CLOCK_MARGIN_MS); from !== null; ) {
        const step: Awaited<ReturnType<typeof recoverStep>> = await recoverStep(range, from);
        recovered += step.recovered;
        from = step.next;
        if (step.recovered > 0) tellEverybody(range.webhookId);
      }
      return recovered;
    },
    async endPending({ webhookId, reason, throughId }, onEnded) {
      const [label] = await main.query<WebhookLabel>("SELECT uuid, name FROM webhooks WHERE id = $1", [
        webhookId,
      ]);
      for (let count = END_STEP; count === END_STEP; ) {
        ({ count } = await database.writing(() =>
          main.query(END, [webhookId, throughId, reason, clock.wall()]),
        ));
        parts.statistics.countEnded(webhookId, count, clock.wall());
        if (count > 0) onEnded(label ?? { uuid: "", name: null }, count);
      }
      await main.query("UPDATE webhooks SET end_through = NULL WHERE id = $1 AND end_through <= $2", [
        webhookId,
        throughId,
      ]);
    },
    ending: async (webhookId) => {
      const rows = await main.query<EndingRow>(`${ENDINGS} AND id = $1`, [webhookId]);
      return rows.map(toEnding)[0] ?? null;
    },
    async unfinished(found) {
      const held = partitions.ids();
      if (held.length === 0) return;
      const pending = await main.query<{ id: number }>(
        `SELECT w.id FROM webhooks w WHERE w.enabled AND ${partitionIn("w.id")} = ANY($1::int[])
         AND EXISTS (SELECT 1 FROM queue q WHERE q.webhook_id = w.id) ORDER BY w.id`,
        [held],
      );
      const ending = await main.query<EndingRow>(`${ENDINGS} AND ${partitionIn("id")} = ANY($1::int[])`, [
        held,
      ]);
      found({ pending: pending.map(({ id }) => id), ending: ending.map(toEnding) });
    },
    watch(changes) {
      watchers.add(changes);
      parts.onWatched();
      return () => watchers.delete(changes);
    },
    tellDue,
    tellChanged: (webhookIds) => {
      for (const id of webhookIds) for (const watcher of watchers) watcher.changed(id);
    },
    tellGained: () => {
      for (const watcher of watchers) watcher.gained();
    },
    tellLost: () => {
      for (const watcher of watchers) watcher.lost((webhookId) => partitions.epochFor(webhookId) === null);
    },
    async poll() {
      const held = partitions.ids();
      if (held.length === 0 || watchers.size === 0) return;
      const rows = await worker.query<{ id: number }>(
        `SELECT w.id FROM webhooks w WHERE w.enabled AND ${partitionIn("w.id")} = ANY($1::int[]) AND (${HAS_DUE})`,
        [held, clock.schedule()],
      );
      tellDue(rows.map(({ id }) => id));
    },
  };
}

/** Also of a deleted one that another daemon has given something a moment too late. */
const ENDINGS = `SELECT id, deleted_at IS NOT NULL AS "isDeleted", end_through::float8 AS "throughId" FROM webhooks
  WHERE (end_through IS NOT NULL OR (deleted_at IS NOT NULL AND EXISTS (SELECT 1 FROM queue q WHERE q.webhook_id = webhooks.id)))`;

interface EndingRow {
  id: number;
  isDeleted: boolean;
  throughId: number | null;
}

function toEnding({ id, isDeleted, throughId }: EndingRow): Ending {
  return {
    webhookId: id,
    reason: isDeleted ? "webhook_deleted" : "webhook_disabled",
    // A deleted webhook keeps nothing.
    throughId: isDeleted ? Number.MAX_SAFE_INTEGER : (throughId ?? 0),
  };
}
