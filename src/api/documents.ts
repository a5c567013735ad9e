import { ERROR_STATUS, type ErrorCode } from "../errors.ts";

/** Pieces of the OpenAPI document that every route shares: models, examples, headers and error answers. */

type Schema = Readonly<Record<string, unknown>>;

const uuid = (example: string): Schema => ({ type: "string", format: "uuid", example });
const time = (description: string, nullable = false): Schema => ({
  type: "string",
  format: "date-time",
  description,
  example: "2026-01-15T10:00:00.000Z",
  ...(nullable && { nullable: true }),
});
const integer = (description: string, example: number, nullable = false): Schema => ({
  type: "integer",
  description,
  example,
  ...(nullable && { nullable: true }),
});
const object = (properties: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema => ({
  type: "object",
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
  additionalProperties: false,
});
export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
export const listOf = (items: Schema): Schema => ({ type: "array", items });

const EVENT_TYPE: Schema = {
  type: "string",
  enum: ["red_tier", "yellow_tier", "green_tier"],
  example: "red_tier",
};
const ATTEMPT_ERRORS = [
  "connection_failed",
  "dns_failed",
  "tls_failed",
  "timeout",
  "blocked_address",
  "invalid_response",
  "http_status",
];

const webhook = {
  id: uuid("0b3b3f4e-6f0a-4c53-9a2e-5d2d4d8f5c11"),
  url: { type: "string", example: "https://hooks.slack.com/services/T.../B.../xxx" },
  events: listOf(EVENT_TYPE),
  format: { type: "string", enum: ["json", "slack", "teams", "discord", "pagerduty"], example: "json" },
  enabled: { type: "boolean", example: true },
  failure_count: integer("Failed attempts in a row since the last success.", 0),
  last_triggered_at: time("When the latest attempt for a real event was made.", true),
  created_at: time("When the webhook was registered."),
};
const secret: Schema = {
  type: "string",
  pattern: "^[0-9a-f]{64}$",
  description: "Verifies the signatures of this webhook. Returned here only: store it securely.",
  example: "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90",
};
const delivery = {
  id: uuid("019bc0f6-5c00-7000-9d3a-52c8f1d7a460"),
  webhook_id: webhook.id,
  event_id: uuid("019bc0f6-5bff-7000-9d3a-52c8f1d7a460"),
  event: EVENT_TYPE,
  status: { type: "string", enum: ["pending", "delivered", "failed"], example: "delivered" },
  attempt_count: integer("Attempts made.", 1),
  next_attempt_at: time("When the next attempt is due; null when finished.", true),
  last_status: integer("HTTP status of the latest attempt.", 200, true),
  last_error: {
    type: "string",
    nullable: true,
    description: "Why the latest attempt failed, or why the delivery ended without one.",
    enum: [...ATTEMPT_ERRORS, "webhook_disabled", "webhook_deleted", null],
  },
  created_at: time("When the delivery was created."),
  finished_at: time("When it was delivered or given up.", true),
};
const attempt = {
  number: integer("Counts from 1.", 1),
  started_at: time("When the attempt began."),
  duration_ms: integer("How long it took, milliseconds.", 12),
  status: integer("HTTP status of the response; null when there was none.", 200, true),
  error: {
    type: "string",
    nullable: true,
    enum: [...ATTEMPT_ERRORS, null],
    description: "Null when it succeeded.",
  },
  response_excerpt: {
    type: "string",
    nullable: true,
    description: "The first 1 KiB of the response body, as text.",
    example: "ok",
  },
};
const signal = object({
  domain: { type: "string", example: "pii" },
  type: { type: "string", example: "ssn" },
  confidence: { type: "number", minimum: 0, maximum: 1, example: 0.98 },
  weight: { type: "number", example: 50 },
});
const payload = {
  event: { type: "string", enum: ["red_tier", "yellow_tier", "green_tier", "test"] },
  tier: { type: "string", enum: ["red", "yellow", "green"] },
  action: { type: "string", enum: ["allow", "flag", "block"] },
  risk_score: { type: "number", minimum: 0, maximum: 100 },
  signals: listOf(signal),
  latency_ms: { type: "number", minimum: 0 },
  timestamp: time("When the scan was made."),
};

export const SCHEMAS: Readonly<Record<string, Schema>> = {
  Webhook: object(webhook),
  WebhookWithSecret: object({ ...webhook, secret }),
  TestResult: object(
    {
      success: { type: "boolean", example: true },
      status: integer("HTTP status of the receiver's answer, when there was one.", 200),
      error: { type: "string", description: "Why it failed.", example: "Connection failed or timed out" },
    },
    ["status", "error"],
  ),
  Delivery: object(delivery),
  DeliveryDetail: object({ ...delivery, payload: ref("Payload"), attempts: listOf(ref("Attempt")) }),
  Attempt: object(attempt),
  Payload: {
    ...object(payload),
    example: {
      event: "red_tier",
      tier: "red",
      action: "block",
      risk_score: 85,
      signals: [{ domain: "pii", type: "ssn", confidence: 0.98, weight: 50 }],
      latency_ms: 8,
      timestamp: "2026-01-15T10:00:00.000Z",
    },
  },
  Health: object({
    status: { type: "string", enum: ["ok", "unavailable"], example: "ok" },
    version: { type: "string", example: "0.1.0" },
  }),
  Error: object({
    error: object({
      code: { type: "string", enum: Object.keys(ERROR_STATUS), example: "VALIDATION_ERROR" },
      message: { type: "string", example: "url must be an https URL" },
      request_id: { type: "string", example: "req_0f1e2d3c4b5a69788796a5b4" },
    }),
  }),
};

const header = (description: string, type: "integer" | "string" = "integer") => ({
  description,
  schema: { type },
});
const REQUEST_ID = { "x-request-id": header("Names this request in our log.", "string") };
const RATE_LIMIT = {
  "x-ratelimit-limit": header("Requests that this key may make per minute."),
  "x-ratelimit-remaining": header("Requests left in the present minute."),
  "x-ratelimit-reset": header("Seconds until the present minute is over."),
};
const NO_STORE = { "cache-control": header("no-store: the answer carries a secret.", "string") };
const PER_ERROR: Partial<Record<ErrorCode, Record<string, unknown>>> = {
  AUTHENTICATION_ERROR: { "www-authenticate": header("Bearer", "string") },
  RATE_LIMIT_EXCEEDED: { "retry-after": header("Seconds to wait.") },
  METHOD_NOT_ALLOWED: { allow: header("Methods that the path takes.", "string") },
};

export const MEANINGS: Readonly<Record<ErrorCode, string>> = {
  VALIDATION_ERROR: "Body, query or JSON syntax is wrong; the message names the field; nothing was changed.",
  AUTHENTICATION_ERROR: "The key is missing, unknown, disabled or expired.",
  FEATURE_NOT_AVAILABLE: "The plan lacks webhookAlerts.",
  NOT_FOUND: "No such route, or nothing with this id in your organization.",
  METHOD_NOT_ALLOWED: "The path is known, the method is not one that it takes.",
  PAYLOAD_TOO_LARGE: "The body is over 64 KiB.",
  UNSUPPORTED_MEDIA_TYPE: "The body is not application/json.",
  RATE_LIMIT_EXCEEDED: "Over the key's requests per minute (60 by default).",
  INTERNAL_ERROR: "A fault of ours.",
  UNAVAILABLE: "Starting, draining, or the store cannot write.",
};

const EVERY_V1: readonly ErrorCode[] = [
  "VALIDATION_ERROR",
  "AUTHENTICATION_ERROR",
  "FEATURE_NOT_AVAILABLE",
  "RATE_LIMIT_EXCEEDED",
  "INTERNAL_ERROR",
  "UNAVAILABLE",
];
const WITH_ID: readonly ErrorCode[] = ["NOT_FOUND"];
const WITH_BODY: readonly ErrorCode[] = ["PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"];

export interface RouteDocument {
  summary: string;
  description: string;
  status: 200 | 201 | 202;
  answer: string;
  schema: Schema;
  hasId?: boolean;
  hasBody?: boolean;
  carriesSecret?: boolean;
}

/** The `detail` of a /v1 route: summary, security, and every answer with its headers and an example. */
export function documentRoute({ summary, description, status, answer, schema, ...traits }: RouteDocument) {
  const codes = [...EVERY_V1, ...(traits.hasId ? WITH_ID : []), ...(traits.hasBody ? WITH_BODY : [])];
  const headers = { ...REQUEST_ID, ...RATE_LIMIT, ...(traits.carriesSecret && NO_STORE) };
  return {
    summary,
    description,
    security: [{ apiKey: [] }],
    responses: {
      [status]: { description: answer, headers, content: { "application/json": { schema } } },
      ...Object.fromEntries(codes.map((code) => [ERROR_STATUS[code], errorAnswer(code)])),
    },
  } as object;
}

/** An error answer in the envelope, with the headers that go with its code. */
export function errorAnswer(code: ErrorCode) {
  const example = { error: { code, message: MEANINGS[code], request_id: "req_0f1e2d3c4b5a69788796a5b4" } };
  return {
    description: `${code}: ${MEANINGS[code]}`,
    headers: { ...REQUEST_ID, ...PER_ERROR[code] },
    content: { "application/json": { schema: ref("Error"), example } },
  };
}

/** An answer of a route that needs no key. */
export function openAnswer(description: string, mediaType: string, schema: Schema) {
  return { description, headers: REQUEST_ID, content: { [mediaType]: { schema } } };
}
export const wrap = object;
