import type { EventType } from "../../scan-words.ts";
import { sealHeaders } from "../../secrets/sealed-headers.ts";
import type { SecretBox } from "../../secrets/secret-box.ts";
import type { WebhookHeaders } from "../../webhook-headers.ts";
import type { Webhook, WebhookChanges } from "../webhooks.ts";

/** What is shown of a webhook. */
export const COLUMNS = `id, uuid, organization_id AS "organizationId", url, events, format, enabled,
  disabled_reason AS "disabledReason", failure_count AS "failureCount", last_triggered_at::float8 AS "lastTriggeredAt",
  last_success_at::float8 AS "lastSuccessAt", name, filter, rate_limit_per_minute AS "rateLimitPerMinute",
  grouped AS "group", header_names AS "headerNames", created_at::float8 AS "createdAt"`;

export type WebhookRow = Omit<Webhook, "events" | "filter" | "headerNames"> & {
  events: string;
  filter: string | null;
  headerNames: string | null;
};

export function toWebhook(row: WebhookRow): Webhook {
  return {
    ...row,
    events: JSON.parse(row.events) as EventType[],
    filter: row.filter === null ? null : JSON.parse(row.filter),
    headerNames: row.headerNames === null ? [] : JSON.parse(row.headerNames),
  };
}

/** Values by column. */
export type Values = Record<string, unknown>;

/** What a webhook is given or changed to, as its columns. */
export function columnsOf({ events, filter, group, ...changes }: Omit<WebhookChanges, "headers">): Values {
  const values: Values = {
    url: changes.url,
    format: changes.format,
    enabled: changes.enabled,
    name: changes.name,
    rate_limit_per_minute: changes.rateLimitPerMinute,
    grouped: group,
    events: events && JSON.stringify(events),
    filter: filter === undefined ? undefined : filter && JSON.stringify(filter),
  };
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

/** A webhook without what only the store needs to know. */
export function bare({
  headers: _headers,
  secret: _secret,
  ...webhook
}: Webhook & { headers: unknown; secret: unknown }): Webhook {
  return webhook;
}

export function headerColumns(fields: WebhookHeaders, uuid: string, box: SecretBox): Values {
  const { headers, headerNames } = sealHeaders(fields, uuid, box);
  return { headers, header_names: headerNames && JSON.stringify(headerNames) };
}
