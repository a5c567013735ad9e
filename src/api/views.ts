import type { StoredEvent } from "../store/event-history.ts";
import type { Attempt, Delivery } from "../store/history.ts";
import type { Webhook } from "../store/webhooks.ts";

import { hidden } from "../webhook-headers.ts";

/** How rows are shown: snake_case, ISO 8601 times in UTC. */

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

function isoOrNull(milliseconds: number | null): string | null {
  return milliseconds === null ? null : iso(milliseconds);
}

/** Who may only read sees where a webhook leads, not the path and query: those may be a secret in themselves. */
export function webhookView(webhook: Webhook, readOnly = false) {
  return {
    id: webhook.uuid,
    url: readOnly ? new URL(webhook.url).origin : webhook.url,
    events: webhook.events,
    format: webhook.format,
    enabled: webhook.enabled,
    failure_count: webhook.failureCount,
    last_triggered_at: isoOrNull(webhook.lastTriggeredAt),
    created_at: iso(webhook.createdAt),
    ...optionsView(webhook),
  };
}

/** What was never set, or was taken off, does not appear. */
function optionsView(webhook: Webhook) {
  const { name, filter, rateLimitPerMinute, group, headerNames, disabledReason } = webhook;
  return {
    ...(name !== null && { name }),
    ...(filter !== null && { filter }),
    ...(rateLimitPerMinute !== null && { rate_limit_per_minute: rateLimitPerMinute }),
    ...(group !== null && { group }),
    ...(headerNames.length > 0 && { headers: hidden(headerNames) }),
    ...(disabledReason !== null && disabledReason !== "owner" && { disabled_reason: disabledReason }),
  };
}

/** Turns ids and schedule times into what the outside sees. */
export interface Viewer {
  formatId: (id: number) => string;
  toWall: (scheduled: number) => number;
}

export function deliveryView(row: Delivery, { formatId, toWall }: Viewer) {
  return {
    id: formatId(row.id),
    webhook_id: row.webhookUuid,
    event_id: formatId(row.eventId),
    event: row.eventType,
    status: row.status,
    attempt_count: row.attemptCount,
    next_attempt_at: row.nextAttemptAt === null ? null : iso(toWall(row.nextAttemptAt)),
    last_status: row.lastStatus,
    last_error: row.lastError,
    created_at: iso(row.createdAt),
    finished_at: isoOrNull(row.finishedAt),
  };
}

export function eventView(event: StoredEvent, { formatId }: Pick<Viewer, "formatId">) {
  return {
    id: formatId(event.id),
    external_id: event.externalId,
    event: event.type,
    received_at: iso(event.receivedAt),
    payload: JSON.parse(event.payload),
    deliveries: event.deliveries,
  };
}

export function attemptView(row: Attempt) {
  return {
    number: row.number,
    started_at: iso(row.startedAt),
    duration_ms: row.durationMs,
    status: row.status,
    error: row.error,
    detail: row.detail,
    response_excerpt: row.responseExcerpt,
  };
}
