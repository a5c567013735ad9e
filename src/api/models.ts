import { ERROR_STATUS } from "../errors.ts";
import { WEBHOOK_FORMATS } from "../formats.ts";
import { ATTEMPT_ERRORS, DELIVERY_STATUSES, DISABLED_REASONS, END_REASONS } from "../outcomes.ts";
import { ACTIONS, EVENT_TYPES_BY_GRAVITY, TIERS_BY_GRAVITY } from "../scan-words.ts";
import { listOf, REQUEST_ID_EXAMPLE, ref, type Schema, wrap } from "./document-parts.ts";

/** The models of the OpenAPI document: what answers hold, field by field, each with an example. */

const uuid = (description: string, example: string): Schema => ({
  type: "string",
  format: "uuid",
  description,
  example,
});
const time = (description: string): Schema => ({
  type: "string",
  format: "date-time",
  description,
  example: "2026-01-15T10:00:00.000Z",
});
const integer = (description: string, example: number): Schema => ({ type: "integer", description, example });
const orNull = (schema: Schema, example: unknown = schema.example): Schema => ({
  ...schema,
  nullable: true,
  example,
});

const EVENT_TYPE: Schema = {
  type: "string",
  enum: [...EVENT_TYPES_BY_GRAVITY],
  example: "red_tier",
};

const webhook = {
  id: uuid("The webhook ID.", "0b3b3f4e-6f0a-4c53-9a2e-5d2d4d8f5c11"),
  url: {
    type: "string",
    description: "Where webhook requests are sent.",
    example: "https://hooks.slack.com/services/T.../B.../xxx",
  },
  events: { ...listOf(EVENT_TYPE), description: "The event types subscribed to.", example: ["red_tier"] },
  format: { type: "string", description: "Payload format.", enum: [...WEBHOOK_FORMATS], example: "json" },
  enabled: { type: "boolean", description: "A disabled webhook gets no new deliveries.", example: true },
  failure_count: integer("Failed attempts in a row since the last success.", 0),
  last_triggered_at: orNull(
    time("When the latest attempt for a real event was made; null before the first."),
    null,
  ),
  created_at: time("When the webhook was registered."),
  name: {
    type: "string",
    description: "What people call it. Left out when it has none.",
    example: "security on call",
  },
  filter: {
    ...wrap(
      {
        min_risk_score: { type: "number", minimum: 0, maximum: 100, example: 80 },
        actions: listOf({ type: "string", enum: [...ACTIONS], example: "block" }),
        domains: listOf({ type: "string", example: "pii" }),
      },
      ["min_risk_score", "actions", "domains"],
    ),
    description: "Only events that pass every part get a delivery. Left out when there is none.",
    example: { min_risk_score: 80, actions: ["block"] },
  },
  rate_limit_per_minute: integer("Requests a minute. Left out when it is its format's own.", 60),
  group: {
    type: "boolean",
    description: "Whether deliveries that wait may share one message. Left out when it is not set.",
    example: false,
  },
  headers: {
    type: "object",
    additionalProperties: { type: "string", enum: ["***"], example: "***" },
    description: "Names of the header fields that its requests carry. Left out when there are none.",
    example: { authorization: "***" },
  },
  disabled_reason: {
    type: "string",
    enum: [...DISABLED_REASONS],
    description: "Why the daemon has disabled it. Left out while it is on, and when its owner turned it off.",
    example: "gone",
  },
};
const OPTIONAL = ["name", "filter", "rate_limit_per_minute", "group", "headers", "disabled_reason"];
const secret: Schema = {
  type: "string",
  pattern: "^[0-9a-f]{64}$",
  description: "Verifies the signatures of this webhook. Returned here only: store it securely.",
  example: "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90",
};
/** As the API's first document shows it: without what may be left out. */
const webhookExample = Object.fromEntries(
  Object.entries(webhook).flatMap(([name, { example }]) =>
    OPTIONAL.includes(name) ? [] : [[name, example]],
  ),
);
const delivery = {
  id: uuid("The delivery ID.", "019bc0f6-5c00-7000-9d3a-52c8f1d7a460"),
  webhook_id: uuid("The webhook that it goes to.", "0b3b3f4e-6f0a-4c53-9a2e-5d2d4d8f5c11"),
  event_id: uuid(
    "The event that it carries, and the webhook-id header that receivers get.",
    "019bc0f6-5bff-7000-9d3a-52c8f1d7a460",
  ),
  event: EVENT_TYPE,
  status: { type: "string", enum: [...DELIVERY_STATUSES], example: "delivered" },
  attempt_count: integer("Attempts made.", 1),
  next_attempt_at: orNull(time("When the next attempt is due; null when finished."), null),
  last_status: orNull(integer("HTTP status of the latest attempt; null when there was none.", 200)),
  last_error: {
    type: "string",
    nullable: true,
    description: "Why the latest attempt failed, or why the delivery ended without one; null if neither.",
    enum: [...ATTEMPT_ERRORS, ...END_REASONS, null],
    example: null,
  },
  created_at: time("When the delivery was created."),
  finished_at: orNull(time("When it was delivered or given up; null while pending.")),
};
const attempt = {
  number: integer("Counts from 1.", 1),
  started_at: time("When the attempt began."),
  duration_ms: integer("How long it took, milliseconds.", 12),
  status: orNull(integer("HTTP status of the response; null when there was none.", 200)),
  error: {
    type: "string",
    nullable: true,
    enum: [...ATTEMPT_ERRORS, null],
    description: "Why it failed; null when it succeeded.",
    example: null,
  },
  detail: {
    type: "string",
    nullable: true,
    description:
      "What a person needs to mend it, such as `certificate has expired`; null when there is nothing to add.",
    example: null,
  },
  response_excerpt: {
    type: "string",
    nullable: true,
    description: "The first 1 KiB of the response body as text; null when there was no response.",
    example: "ok",
  },
};
const signal = wrap({
  domain: { type: "string", example: "pii" },
  type: { type: "string", example: "ssn" },
  confidence: { type: "number", minimum: 0, maximum: 1, example: 0.98 },
  weight: { type: "number", example: 50 },
});
const payload = {
  event: { type: "string", enum: [...EVENT_TYPES_BY_GRAVITY, "test"], example: "red_tier" },
  tier: { type: "string", enum: [...TIERS_BY_GRAVITY], example: "red" },
  action: { type: "string", enum: [...ACTIONS], example: "block" },
  risk_score: { type: "number", minimum: 0, maximum: 100, example: 85 },
  signals: listOf(signal),
  latency_ms: { type: "number", minimum: 0, example: 8 },
  timestamp: time("When the scan was made."),
};

const event = {
  id: uuid(
    "The event ID, and the webhook-id header that receivers get.",
    "019bc0f6-5bff-7000-9d3a-52c8f1d7a460",
  ),
  external_id: {
    type: "string",
    nullable: true,
    description: "The scanner's own id; null when it gave none.",
    example: "scan-42",
  },
  event: EVENT_TYPE,
  received_at: time("When it came in."),
  payload: ref("Payload"),
  deliveries: integer("How many deliveries it has: one for each webhook that got it.", 2),
};
const point = {
  at: time("When the step begins."),
  attempts: integer("Requests that were made.", 12),
  delivered: integer("Deliveries that ended delivered.", 11),
  failed: integer("Deliveries that ended failed.", 0),
  p50_ms: orNull(integer("Half of the attempts took no longer, milliseconds; null without any.", 12)),
  p99_ms: orNull(integer("99 of 100 attempts took no longer, milliseconds; null without any.", 90)),
};

const error = wrap({
  code: { type: "string", enum: Object.keys(ERROR_STATUS), example: "VALIDATION_ERROR" },
  message: {
    type: "string",
    description: "A sentence for people; it may change.",
    example: "url must be an https URL",
  },
  request_id: {
    type: "string",
    description: "The same as x-request-id.",
    example: REQUEST_ID_EXAMPLE,
  },
});
const version: Schema = { type: "string", example: "0.1.0" };

export const SCHEMAS: Readonly<Record<string, Schema>> = {
  Webhook: { ...wrap(webhook, OPTIONAL), example: webhookExample },
  WebhookWithSecret: {
    ...wrap({ ...webhook, secret }, OPTIONAL),
    example: { ...webhookExample, secret: secret.example },
  },
  TestResult: wrap(
    {
      success: { type: "boolean", description: "Whether the receiver answered 2xx.", example: true },
      status: integer("HTTP status of the receiver's answer, when there was one.", 200),
      error: {
        type: "string",
        description: "Why it failed; left out when it did not.",
        example: "Endpoint responded with status 500",
      },
    },
    ["status", "error"],
  ),
  Delivery: wrap(delivery),
  DeliveryDetail: wrap({ ...delivery, payload: ref("Payload"), attempts: listOf(ref("Attempt")) }),
  Attempt: wrap(attempt),
  Payload: wrap(payload),
  Event: wrap(event),
  WebhookStatistics: wrap({
    webhook_id: webhook.id,
    points: listOf(wrap(point)),
  }),
  Health: wrap({ status: { type: "string", enum: ["ok"], example: "ok" }, version }),
  Unhealthy: wrap({
    status: { type: "string", enum: ["unavailable"], example: "unavailable" },
    version,
    error,
  }),
  Error: wrap({ error }),
};
