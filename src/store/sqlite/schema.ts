import { sql } from "drizzle-orm";
import {
  blob,
  check,
  index,
  integer,
  primaryKey,
  sqliteTable,
  text,
  uniqueIndex,
} from "drizzle-orm/sqlite-core";
import type { WebhookFormat } from "../../formats.ts";
import type { DisabledReason } from "../../outcomes.ts";
import type { Plan } from "../../plans.ts";
import type { EventType } from "../../scan-words.ts";
import type { WebhookFilter } from "../../webhook-filter.ts";
import { FAILED, PENDING } from "../common/delivery-row.ts";

/**
 * Times are milliseconds since 1970: wall time, except where a comment says schedule time (see clock.ts).
 *
 * Over 250 lines: drizzle-kit makes migrations of all tables of one database, which refer to each other.
 */

/** Small facts about this installation: its id tag, the state of the schedule clock. */
export const meta = sqliteTable("meta", {
  key: text().primaryKey(),
  value: text().notNull(),
});

export const organizations = sqliteTable("organizations", {
  id: integer().primaryKey({ autoIncrement: true }),
  uuid: text().notNull().unique(),
  name: text().notNull(),
  plan: text().$type<Plan>().notNull(),
  createdAt: integer("created_at").notNull(),
});

export const apiKeys = sqliteTable(
  "api_keys",
  {
    id: integer().primaryKey({ autoIncrement: true }),
    uuid: text().notNull().unique(),
    organizationId: integer("organization_id")
      .notNull()
      .references(() => organizations.id),
    name: text().notNull(),
    keyPrefix: text("key_prefix").notNull(),
    keyHash: blob("key_hash", { mode: "buffer" }).notNull().unique(),
    rateLimitPerMinute: integer("rate_limit_per_minute").notNull(),
    enabled: integer({ mode: "boolean" }).notNull().default(true),
    lastUsedAt: integer("last_used_at"),
    readOnly: integer("read_only", { mode: "boolean" }).notNull().default(false),
    createdAt: integer("created_at").notNull(),
    expiresAt: integer("expires_at"),
  },
  (table) => [index("api_keys_organization").on(table.organizationId)],
);

export const webhooks = sqliteTable(
  "webhooks",
  {
    id: integer().primaryKey({ autoIncrement: true }),
    uuid: text().notNull().unique(),
    organizationId: integer("organization_id")
      .notNull()
      .references(() => organizations.id),
    url: text().notNull(),
    events: text({ mode: "json" }).$type<EventType[]>().notNull(),
    format: text().$type<WebhookFormat>().notNull().default("json"),
    enabled: integer({ mode: "boolean" }).notNull().default(true),
    disabledReason: text("disabled_reason").$type<DisabledReason>(),
    failureCount: integer("failure_count").notNull().default(0),
    lastTriggeredAt: integer("last_triggered_at"),
    /** Schedule time. */
    lastSuccessAt: integer("last_success_at"),
    /** Schedule time until which its receiver has asked to wait, if it ever has. */
    pausedUntil: integer("paused_until"),
    /** Sealed with the secret key (secret-box.ts). */
    secret: blob({ mode: "buffer" }).notNull(),
    name: text(),
    filter: text({ mode: "json" }).$type<WebhookFilter>(),
    rateLimitPerMinute: integer("rate_limit_per_minute"),
    grouped: integer({ mode: "boolean" }),
    /** Header fields as JSON, sealed like the secret; their names are what answers show. */
    headers: blob({ mode: "buffer" }),
    headerNames: text("header_names", { mode: "json" }).$type<string[]>(),
    createdAt: integer("created_at").notNull(),
    /** While its pending deliveries up to this id are being ended, after it was disabled or deleted. */
    endThrough: integer("end_through"),
    /** None of its fresh deliveries (fresh-deliveries.ts) has a smaller id. */
    freshFrom: integer("fresh_from").notNull().default(0),
    /** All of its deliveries with larger ids are fresh. */
    triedThrough: integer("tried_through").notNull().default(0),
    /** A deleted webhook stays until its deliveries are pruned, without its URL and secret. */
    deletedAt: integer("deleted_at"),
  },
  (table) => [
    index("webhooks_organization").on(table.organizationId),
    // What is to be dropped is looked for every minute.
    index("webhooks_deleted").on(table.id).where(sql`deleted_at IS NOT NULL`),
  ],
);

/** Secrets that a webhook had before, until their overlap ends; sealed like the present one. */
export const rotatedSecrets = sqliteTable(
  "rotated_secrets",
  {
    id: integer().primaryKey({ autoIncrement: true }),
    webhookId: integer("webhook_id")
      .notNull()
      .references(() => webhooks.id),
    secret: blob({ mode: "buffer" }).notNull(),
    expiresAt: integer("expires_at").notNull(),
  },
  (table) => [index("rotated_secrets_webhook").on(table.webhookId)],
);

export const events = sqliteTable(
  "events",
  {
    id: integer().primaryKey(),
    organizationId: integer("organization_id")
      .notNull()
      .references(() => organizations.id),
    /** The scanner's own id, for recognising repeats. */
    externalId: text("external_id"),
    /** Position in EVENT_TYPES. */
    type: integer().notNull(),
    /** The payload as it is sent, byte for byte. */
    body: text().notNull(),
    receivedAt: integer("received_at").notNull(),
  },
  // Where to find those that are not in a run of external ids yet.
  (table) => [index("events_named").on(table.id).where(sql`external_id IS NOT NULL`)],
);

/** External ids in runs, so that a new one is told from a repeat at a cost that does not grow (external-ids.ts). */
export const externalIdRuns = sqliteTable("external_id_runs", {
  id: integer().primaryKey(),
  firstEventId: integer("first_event_id").notNull(),
  lastEventId: integer("last_event_id").notNull(),
});

/** The ids of a run are in 256 rows, by their hashes. */
export const externalIdBuckets = sqliteTable("external_id_buckets", {
  id: integer().primaryKey(),
  entries: blob({ mode: "buffer" }).notNull(),
});

/** One for each 32 runs. */
export const externalIdFilters = sqliteTable("external_id_filters", {
  id: integer().primaryKey(),
  bits: blob({ mode: "buffer" }).notNull(),
});

/**
 * What has been pending since it was made and was never tried; has no index of its own (fresh-deliveries.ts).
 * What was ended without an attempt carries its reason in `last_error`, also once it is pending again.
 */
export const FRESH = `status = ${PENDING} AND attempt_count = 0 AND last_error IS NULL`;
/** Pending and not fresh: the condition of partial indexes. SQLite takes such an index only where a query says the same. */
export const TRIED = `status = ${PENDING} AND (attempt_count > 0 OR last_error IS NOT NULL)`;

export const deliveries = sqliteTable(
  "deliveries",
  {
    id: integer().primaryKey(),
    webhookId: integer("webhook_id")
      .notNull()
      .references(() => webhooks.id),
    eventId: integer("event_id")
      .notNull()
      .references(() => events.id),
    /** Position in DELIVERY_STATUSES. */
    status: integer().notNull().default(PENDING),
    attemptCount: integer("attempt_count").notNull().default(0),
    /** Attempts made before the present budget began: a retry by hand starts a fresh one. */
    budgetFrom: integer("budget_from").notNull().default(0),
    /** Schedule time; null when finished. */
    nextAttemptAt: integer("next_attempt_at"),
    /** What the latest attempt came to, or why the delivery was ended without one. */
    lastStatus: integer("last_status"),
    lastError: text("last_error"),
    /** The rest of the latest attempt; null when there is none, or when it was moved to `attempts`. */
    lastStartedAt: integer("last_started_at"),
    lastDurationMs: integer("last_duration_ms"),
    lastExcerpt: text("last_excerpt"),
    /** Takes up the bytes that the first result will need: a row that grew would split its page. Null afterwards. */
    room: blob({ mode: "buffer" }).default(sql`x'${sql.raw("00".repeat(24))}'`),
    createdAt: integer("created_at").notNull(),
    finishedAt: integer("finished_at"),
    lastDetail: text("last_detail"),
  },
  (table) => [
    uniqueIndex("deliveries_event").on(table.eventId, table.webhookId),
    // Nearly all deliveries succeed at once: those never enter these.
    index("deliveries_tried").on(table.webhookId, table.id).where(sql.raw(TRIED)),
    index("deliveries_waiting").on(table.webhookId, table.nextAttemptAt).where(sql.raw(TRIED)),
    index("deliveries_failed")
      .on(table.webhookId, table.id)
      .where(sql.raw(`status = ${FAILED}`)),
    // Not IN (0, 1, 2): SQLite would build a list of those for each row that is written, for a third of its time.
    check("deliveries_status", sql`${table.status} BETWEEN 0 AND 2`),
  ],
);

/** Each webhook's deliveries in order, up to date when it is read (webhook-log.ts). WITHOUT ROWID, as the migration says. */
export const webhookLog = sqliteTable(
  "webhook_log",
  { webhookId: integer("webhook_id").notNull(), deliveryId: integer("delivery_id").notNull() },
  (table) => [primaryKey({ columns: [table.webhookId, table.deliveryId] })],
);

/** Each organization's events by type in order, up to date when it is read (event-feed.ts). WITHOUT ROWID, as the migration says. */
export const eventFeed = sqliteTable(
  "event_feed",
  {
    organizationId: integer("organization_id").notNull(),
    type: integer().notNull(),
    eventId: integer("event_id").notNull(),
  },
  (table) => [primaryKey({ columns: [table.organizationId, table.type, table.eventId] })],
);

/** What came of each webhook's requests, by minute (statistics.ts). WITHOUT ROWID, as the migration says. */
export const webhookMinutes = sqliteTable(
  "webhook_minutes",
  {
    webhookId: integer("webhook_id").notNull(),
    /** Wall time in minutes since 1970. */
    minute: integer().notNull(),
    attempts: integer().notNull(),
    /** Deliveries that ended. */
    delivered: integer().notNull(),
    failed: integer().notNull(),
    /** Packed (latency-histogram.ts). */
    latencies: blob({ mode: "buffer" }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.webhookId, table.minute] })],
);

/**
 * Attempts before the latest one, which lies in its delivery's own row: a delivery that succeeds at once, as
 * nearly all do, is one row less to write. The migration adds WITHOUT ROWID, which drizzle cannot say.
 */
export const attempts = sqliteTable(
  "attempts",
  {
    deliveryId: integer("delivery_id")
      .notNull()
      .references(() => deliveries.id),
    number: integer().notNull(),
    startedAt: integer("started_at").notNull(),
    durationMs: integer("duration_ms").notNull(),
    status: integer(),
    error: text(),
    responseExcerpt: text("response_excerpt"),
    /** What a person needs to mend it, where status and error do not say it. */
    detail: text(),
  },
  (table) => [primaryKey({ columns: [table.deliveryId, table.number] })],
);
