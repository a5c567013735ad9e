import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  customType,
  index,
  integer,
  pgTable,
  primaryKey,
  smallint,
  text,
  timestamp,
} from "drizzle-orm/pg-core";

/**
 * Times are milliseconds since 1970 on the database's clock, except those of leases. What drizzle cannot say is in the
 * migration: `events`, `deliveries` and `attempts` are partitioned by day of their ids (days.ts), `external_ids` has
 * a BRIN index, `queue` and the tables that are updated in place have room for that and are vacuumed early.
 *
 * Over 250 lines: drizzle-kit makes migrations of all tables of one database, which refer to each other.
 */

const bytes = customType<{ data: Buffer }>({ dataType: () => "bytea" });
const large = (name: string) => bigint(name, { mode: "number" });

/** Small facts about this installation, and `version`, which grows with every change of what daemons keep in memory. */
export const meta = pgTable("meta", { key: text().primaryKey(), value: text().notNull() });

/** The daemons that are alive: a row that expires is removed by the others, and never comes back. */
export const daemons = pgTable("daemons", {
  /** Made anew whenever a daemon has to begin again: it is never used twice. */
  id: text().primaryKey(),
  /** Part of the ids that it makes (ids.ts). */
  number: smallint().notNull().unique(),
  name: text().notNull(),
  version: text().notNull(),
  /** Whether it takes its share of partitions. */
  sends: boolean().notNull(),
  startedAt: timestamp("started_at", { withTimezone: true }).notNull(),
  beatAt: timestamp("beat_at", { withTimezone: true }).notNull(),
  expiresAt: timestamp("expires_at", { withTimezone: true }).notNull(),
});

/** Who sends to which webhooks: those whose id modulo 256 is the partition's. */
export const partitions = pgTable("partitions", {
  id: smallint().primaryKey(),
  /** The daemon that holds it; free when there is none of that id. */
  owner: text(),
  /** Grows whenever it is taken: results are written only in the epoch in which their deliveries were claimed. */
  epoch: bigint({ mode: "number" }).notNull().default(0),
  takenAt: timestamp("taken_at", { withTimezone: true }),
});

/** Work that one daemon at a time does for all. */
export const jobs = pgTable("jobs", { name: text().primaryKey(), owner: text() });

export const organizations = pgTable("organizations", {
  id: integer().primaryKey().generatedByDefaultAsIdentity(),
  uuid: text().notNull().unique(),
  name: text().notNull(),
  plan: text().notNull(),
  createdAt: large("created_at").notNull(),
});

export const apiKeys = pgTable(
  "api_keys",
  {
    id: integer().primaryKey().generatedByDefaultAsIdentity(),
    uuid: text().notNull().unique(),
    organizationId: integer("organization_id")
      .notNull()
      .references(() => organizations.id),
    name: text().notNull(),
    keyPrefix: text("key_prefix").notNull(),
    keyHash: bytes("key_hash").notNull().unique(),
    rateLimitPerMinute: integer("rate_limit_per_minute").notNull(),
    enabled: boolean().notNull().default(true),
    lastUsedAt: large("last_used_at"),
    readOnly: boolean("read_only").notNull().default(false),
    createdAt: large("created_at").notNull(),
    expiresAt: large("expires_at"),
  },
  (table) => [index("api_keys_organization").on(table.organizationId)],
);

export const webhooks = pgTable(
  "webhooks",
  {
    id: integer().primaryKey().generatedByDefaultAsIdentity(),
    uuid: text().notNull().unique(),
    organizationId: integer("organization_id")
      .notNull()
      .references(() => organizations.id),
    url: text().notNull(),
    /** JSON. */
    events: text().notNull(),
    format: text().notNull().default("json"),
    enabled: boolean().notNull().default(true),
    disabledReason: text("disabled_reason"),
    failureCount: integer("failure_count").notNull().default(0),
    lastTriggeredAt: large("last_triggered_at"),
    lastSuccessAt: large("last_success_at"),
    /** Schedule time until which its receiver has asked to wait, if it ever has. */
    pausedUntil: large("paused_until"),
    /** Sealed with the secret key (secret-box.ts). */
    secret: bytes().notNull(),
    name: text(),
    /** JSON. */
    filter: text(),
    rateLimitPerMinute: integer("rate_limit_per_minute"),
    grouped: boolean(),
    /** Header fields as JSON, sealed like the secret; their names, JSON too, are what answers show. */
    headers: bytes(),
    headerNames: text("header_names"),
    createdAt: large("created_at").notNull(),
    /** While its pending deliveries up to this id are being ended, after it was disabled or deleted. */
    endThrough: large("end_through"),
    /** A deleted webhook stays until its deliveries are dropped, without its URL and secret. */
    deletedAt: large("deleted_at"),
    /** The `version` in `meta` of its latest change. */
    changedIn: large("changed_in").notNull().default(0),
  },
  (table) => [index("webhooks_organization").on(table.organizationId)],
);

/** Secrets that a webhook had before, until their overlap ends; sealed like the present one. */
export const rotatedSecrets = pgTable(
  "rotated_secrets",
  {
    id: integer().primaryKey().generatedByDefaultAsIdentity(),
    webhookId: integer("webhook_id")
      .notNull()
      .references(() => webhooks.id, { onDelete: "cascade" }),
    secret: bytes().notNull(),
    expiresAt: large("expires_at").notNull(),
  },
  (table) => [index("rotated_secrets_webhook").on(table.webhookId)],
);

export const events = pgTable(
  "events",
  {
    id: large("id").primaryKey(),
    organizationId: integer("organization_id").notNull(),
    externalId: text("external_id"),
    /** Position in EVENT_TYPES. */
    type: smallint().notNull(),
    /** The payload as it is sent, byte for byte. */
    body: text().notNull(),
    receivedAt: large("received_at").notNull(),
  },
  (table) => [index("events_feed").on(table.organizationId, table.id)],
);

/** The scanners' own ids, for recognising repeats. */
export const externalIds = pgTable(
  "external_ids",
  {
    organizationId: integer("organization_id").notNull(),
    externalId: text("external_id").notNull(),
    eventId: large("event_id").notNull(),
  },
  (table) => [primaryKey({ columns: [table.organizationId, table.externalId] })],
);

/** What is to be sent: rows come with their events, and leave for `deliveries` when they have finished. */
export const queue = pgTable(
  "queue",
  {
    webhookId: integer("webhook_id").notNull(),
    id: large("id").notNull(),
    eventId: large("event_id").notNull(),
    attemptCount: integer("attempt_count").notNull().default(0),
    /** Attempts made before the present budget began. */
    budgetFrom: integer("budget_from").notNull().default(0),
    dueAt: large("due_at").notNull(),
    /** Whether it was tried, or was pending before: those that were not have no entry in the index by time. */
    tried: boolean().notNull().default(false),
    /** How often it was retried by hand: whoever is trying it then finds out when the result is written. */
    retries: integer().notNull().default(0),
    createdAt: large("created_at").notNull(),
    lastStatus: integer("last_status"),
    lastError: text("last_error"),
    lastDetail: text("last_detail"),
    lastStartedAt: large("last_started_at"),
  },
  (table) => [
    primaryKey({ columns: [table.webhookId, table.id] }),
    index("queue_due").on(table.webhookId, table.dueAt).where(sql`tried`),
  ],
);

/** What has finished. */
export const deliveries = pgTable(
  "deliveries",
  {
    webhookId: integer("webhook_id").notNull(),
    id: large("id").notNull(),
    eventId: large("event_id").notNull(),
    status: smallint().notNull(),
    attemptCount: integer("attempt_count").notNull(),
    budgetFrom: integer("budget_from").notNull(),
    createdAt: large("created_at").notNull(),
    finishedAt: large("finished_at").notNull(),
    /** The latest attempt, or why it was ended without one: then `last_started_at` is null. */
    lastStatus: integer("last_status"),
    lastError: text("last_error"),
    lastDetail: text("last_detail"),
    lastStartedAt: large("last_started_at"),
    lastDurationMs: integer("last_duration_ms"),
    lastExcerpt: text("last_excerpt"),
  },
  (table) => [
    primaryKey({ columns: [table.webhookId, table.id] }),
    index("deliveries_event").on(table.eventId),
    index("deliveries_failed").on(table.webhookId, table.id).where(sql`status = 2`),
    index("deliveries_finished").using("brin", table.finishedAt),
  ],
);

/** What came of each webhook's requests, by minute (statistics.ts). */
export const webhookMinutes = pgTable(
  "webhook_minutes",
  {
    webhookId: integer("webhook_id").notNull(),
    /** Minutes since 1970. */
    minute: integer().notNull(),
    attempts: integer().notNull(),
    /** Deliveries that ended. */
    delivered: integer().notNull(),
    failed: integer().notNull(),
    /** Packed (latency-histogram.ts). */
    latencies: bytes().notNull(),
  },
  (table) => [primaryKey({ columns: [table.webhookId, table.minute] })],
);

/** Attempts that did not finish their deliveries; the one that did is in the delivery's row. */
export const attempts = pgTable(
  "attempts",
  {
    deliveryId: large("delivery_id").notNull(),
    number: integer().notNull(),
    startedAt: large("started_at").notNull(),
    durationMs: integer("duration_ms").notNull(),
    status: integer(),
    error: text(),
    detail: text(),
    responseExcerpt: text("response_excerpt"),
  },
  (table) => [
    primaryKey({ columns: [table.deliveryId, table.number] }),
    index("attempts_started").using("brin", table.startedAt),
  ],
);
