import type { WebhookFormat } from "../formats.ts";
import type { DisabledReason } from "../outcomes.ts";
import type { EventType } from "../scan-words.ts";
import type { WebhookFilter } from "../webhook-filter.ts";
import type { WebhookHeaders } from "../webhook-headers.ts";

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
  /** What people call it. */
  name: string | null;
  filter: WebhookFilter | null;
  /** Requests a minute; null for as many as its format usually takes. */
  rateLimitPerMinute: number | null;
  /** Whether deliveries that wait may share one message; null for what its format usually does. */
  group: boolean | null;
  /** Of the header fields that its requests carry beside ours. */
  headerNames: string[];
  /** Wall time. */
  createdAt: number;
}

/** What may be left out: null for none. */
export interface WebhookOptions {
  name: string | null;
  filter: WebhookFilter | null;
  rateLimitPerMinute: number | null;
  group: boolean | null;
}

/** What a webhook is called: by programs, and by people. */
export type WebhookLabel = Pick<Webhook, "uuid" | "name">;

export interface NewWebhook extends Partial<WebhookOptions> {
  organizationId: number;
  url: string;
  events: EventType[];
  format: WebhookFormat;
  headers?: WebhookHeaders;
}

export interface WebhookChanges extends Partial<WebhookOptions> {
  url?: string;
  events?: EventType[];
  format?: WebhookFormat;
  enabled?: boolean;
  /** Makes new header fields of the present ones; may throw, and then nothing is changed. */
  headers?: (present: WebhookHeaders) => WebhookHeaders;
}

/** A secret that a webhook had before; requests carry its signature too until a wall time. */
export interface RotatedSecret {
  secret: string;
  expiresAt: number;
}

/** A webhook with what its requests are signed with, 64 hex digits each, and the header fields that they carry. */
export interface LoadedWebhook {
  webhook: Webhook;
  organizationUuid: string;
  secret: string;
  /** Those that still count, the latest first. */
  rotatedSecrets: RotatedSecret[];
  headers: WebhookHeaders;
  /** Schedule time until which the receiver has asked to wait, as it was recorded; null when it has not. */
  pausedUntil: number | null;
}

/** A rotation would make one signature too many; until the wall time at which the next secret stops counting. */
export interface TooManySecrets {
  tooManyUntil: number;
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
  /**
   * Makes a new secret; the present one counts too for an overlap (milliseconds), and so do those before whose
   * overlap has not ended. Changes nothing where that would be more than MAX_SIGNATURES (webhook-secrets.ts).
   */
  rotateSecret(
    organizationId: number,
    uuid: string,
    overlapMs: number,
  ): Promise<WebhookWithSecret | TooManySecrets | null>;
  /** What the delivery engine needs to send to one. */
  load(id: number): Promise<LoadedWebhook | null>;
  /**
   * Ids of the enabled webhooks of an organization that want an event, by its type (a position in EVENT_TYPES) and
   * payload, from memory: every event asks. The same list until one changes, but where filters choose.
   */
  subscribers(organizationId: number, type: number, body: string): readonly number[];
  /** Of every organization, in the order in which they were made. */
  all(): Promise<Webhook[]>;
}
