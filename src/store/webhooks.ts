import type { EventType } from "../event-types.ts";
import type { WebhookFormat } from "../formats.ts";
import type { DisabledReason } from "../outcomes.ts";

/** A webhook, never its secret. Times are milliseconds since 1970. */
export interface Webhook {
  /** Inside only; the outside sees `uuid`. */
  id: number;
  uuid: string;
  organizationId: number;
  url: string;
  events: EventType[];
  format: WebhookFormat;
  enabled: boolean;
  /** Why it is off; null while it is on. */
  disabledReason: DisabledReason | null;
  /** Failed attempts in a row since the last success. */
  failureCount: number;
  /** Wall time of the latest attempt. */
  lastTriggeredAt: number | null;
  /** Schedule time (clock.ts) of the latest success. */
  lastSuccessAt: number | null;
  /** Wall time until which requests carry the signature of the secret before the latest rotation too. */
  previousSecretExpiresAt: number | null;
  /** Wall time. */
  createdAt: number;
}

export interface NewWebhook {
  organizationId: number;
  url: string;
  events: EventType[];
  format: WebhookFormat;
}

export interface WebhookChanges {
  url?: string;
  events?: EventType[];
  format?: WebhookFormat;
  enabled?: boolean;
}

/** A webhook with what its requests are signed with: 64 hex digits each. */
export interface LoadedWebhook {
  webhook: Webhook;
  organizationUuid: string;
  secret: string;
  /** The secret before the latest rotation, whether or not it still counts. */
  previousSecret: string | null;
}

export interface WebhookWithSecret {
  webhook: Webhook;
  secret: string;
}

/**
 * Webhooks by their organization: another organization's webhook is null like one that never existed, and so is a
 * deleted one. What is written has survived a power cut when its promise resolves; every promise rejects with
 * StoreFault when the store cannot do its work. Those that make, change or load secrets need a store that was opened
 * with a secret key.
 */
export interface Webhooks {
  /** Makes a webhook and its secret, unless the organization has `limit` webhooks: then null. */
  create(input: NewWebhook, limit: number): Promise<WebhookWithSecret | null>;
  /** Newest first. */
  list(organizationId: number): Promise<Webhook[]>;
  get(organizationId: number, uuid: string): Promise<Webhook | null>;
  /**
   * Changes what is given, in one step with `check`, which sees the webhook as it would be: when that throws,
   * nothing is changed, and the promise rejects with what it threw. Turning a webhook on sets its failures to 0.
   */
  update(
    organizationId: number,
    uuid: string,
    changes: WebhookChanges,
    check?: (after: Webhook) => void,
  ): Promise<Webhook | null>;
  /** Takes it out of service and wipes its URL and secrets; its deliveries stay to be looked at, and those that are pending end. */
  remove(organizationId: number, uuid: string): Promise<Webhook | null>;
  /** Makes a new secret; the present one counts too until `overlapUntil` (wall time, milliseconds since 1970). */
  rotateSecret(organizationId: number, uuid: string, overlapUntil: number): Promise<WebhookWithSecret | null>;
  /** What the delivery engine needs to send to one. */
  load(id: number): Promise<LoadedWebhook | null>;
  /** Of every organization, in the order in which they were made. */
  all(): Promise<Webhook[]>;
}
