import { ERROR_STATUS, type ErrorCode } from "../errors.ts";

/** Pieces of the OpenAPI document that routes share: how models are written, examples, headers, error answers. */

export type Schema = Readonly<Record<string, unknown>>;

/** An object with exactly these properties, all of them required unless named as optional. */
export const wrap = (
  properties: Readonly<Record<string, Schema>>,
  optional: readonly string[] = [],
): Schema => ({
  type: "object",
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
  additionalProperties: false,
});
export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
export const listOf = (items: Schema): Schema => ({ type: "array", items });

export const REQUEST_ID_EXAMPLE = "req_0f1e2d3c4b5a69788796a5b4";

const header = (description: string, example: number | string) => ({
  description,
  schema: { type: typeof example === "number" ? ("integer" as const) : ("string" as const) },
  example,
});
const REQUEST_ID = { "x-request-id": header("Names this request in our log.", REQUEST_ID_EXAMPLE) };
const RATE_LIMIT = {
  "x-ratelimit-limit": header("Requests that this key may make per minute.", 60),
  "x-ratelimit-remaining": header("Requests left in the present minute.", 59),
  "x-ratelimit-reset": header("Seconds until the present minute is over.", 42),
};
const NO_STORE = { "cache-control": header("The answer carries a secret.", "no-store") };

/** A kind of error answer: when it is given, a message that it really carries, and headers of its own. */
interface ErrorDocument {
  when: string;
  message: string;
  headers: Readonly<Record<string, object>>;
}

const ERRORS: Readonly<Record<ErrorCode, ErrorDocument>> = {
  VALIDATION_ERROR: {
    when: "Body, query or JSON syntax is wrong; the message names the field; nothing was changed.",
    message: "url must be an https URL",
    headers: RATE_LIMIT,
  },
  AUTHENTICATION_ERROR: {
    when: "The key is missing, unknown, disabled or expired.",
    message: "the API key is unknown, disabled or expired",
    headers: { "www-authenticate": header("How to authenticate.", "Bearer") },
  },
  FEATURE_NOT_AVAILABLE: {
    when: "The organization's plan lacks the feature webhookAlerts; the message names feature and plan.",
    message: "the feature webhookAlerts is not part of the plan pro; it needs professional or enterprise",
    headers: RATE_LIMIT,
  },
  READ_ONLY_KEY: {
    when: "The key may only read (GET and HEAD).",
    message: "this API key may only read: it takes GET and HEAD",
    headers: RATE_LIMIT,
  },
  CONFLICT: {
    when: "The state does not allow it; the message says what would.",
    message:
      "requests carry 4 signatures at most; rotate again after 2026-01-16T10:00:00.000Z, when an earlier secret stops counting, or with overlap_seconds 0",
    headers: RATE_LIMIT,
  },
  NOT_FOUND: {
    when: "Nothing with this id in your organization; another organization's looks the same.",
    message: "no such webhook",
    headers: RATE_LIMIT,
  },
  METHOD_NOT_ALLOWED: {
    when: "The path is known, but does not take the method that was asked with.",
    message: "this path takes GET, HEAD, POST only",
    headers: { allow: header("Methods that the path takes.", "GET, HEAD, POST") },
  },
  PAYLOAD_TOO_LARGE: {
    when: "The body is over 64 KiB.",
    message: "the body must not be larger than 64 KiB",
    headers: RATE_LIMIT,
  },
  UNSUPPORTED_MEDIA_TYPE: {
    when: "The body is not application/json.",
    message: "the body must be sent with content-type: application/json",
    headers: RATE_LIMIT,
  },
  RATE_LIMIT_EXCEEDED: {
    when: "Over the key's requests per minute, 60 by default.",
    message: "more than 60 requests in a minute; try again in 42 s",
    headers: { ...RATE_LIMIT, "retry-after": header("Seconds to wait.", 42) },
  },
  INTERNAL_ERROR: {
    when: "A fault of ours.",
    message: "something went wrong on our side; the request_id finds it in the log",
    headers: {},
  },
  UNAVAILABLE: {
    when: "The store cannot be read or written now; nothing was changed.",
    message: "the request cannot be stored now; nothing was changed, try again soon",
    headers: RATE_LIMIT,
  },
};

const EVERY_V1: readonly ErrorCode[] = [
  "VALIDATION_ERROR",
  "AUTHENTICATION_ERROR",
  "FEATURE_NOT_AVAILABLE",
  "RATE_LIMIT_EXCEEDED",
  "UNAVAILABLE",
];
const WITH_ID: readonly ErrorCode[] = ["NOT_FOUND"];
const WITH_STATE: readonly ErrorCode[] = ["CONFLICT"];
const WITH_BODY: readonly ErrorCode[] = ["PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"];
const EVERY_ROUTE: readonly ErrorCode[] = ["METHOD_NOT_ALLOWED", "INTERNAL_ERROR"];

/** One status, two codes: what is refused to who asks for a change. */
const REFUSED_CHANGE = "REFUSED_CHANGE";

function refusedChange() {
  const codes = ["FEATURE_NOT_AVAILABLE", "READ_ONLY_KEY"] as const;
  const examples = codes.map((code) => [
    code,
    { value: { error: { code, message: ERRORS[code].message, request_id: REQUEST_ID_EXAMPLE } } },
  ]);
  return {
    description: codes.map((code) => `${code}: ${ERRORS[code].when}`).join(" "),
    headers: { ...REQUEST_ID, ...RATE_LIMIT },
    content: { "application/json": { schema: ref("Error"), examples: Object.fromEntries(examples) } },
  };
}

const ANSWERS_BY_CODE = Object.fromEntries(
  Object.entries(ERRORS).map(([code, { when, message, headers }]) => [
    code,
    {
      description: `${code}: ${when}`,
      headers: { ...REQUEST_ID, ...headers },
      content: {
        "application/json": {
          schema: ref("Error"),
          example: { error: { code, message, request_id: REQUEST_ID_EXAMPLE } },
        },
      },
    },
  ]),
);

/** Every error answer in full, by code, for `components.responses`; routes refer to them. */
export const ERROR_ANSWERS = { ...ANSWERS_BY_CODE, [REFUSED_CHANGE]: refusedChange() };

/** An error answer in the envelope, with the headers that go with its code. */
export function errorAnswer(code: ErrorCode) {
  return { $ref: `#/components/responses/${code}` };
}

/** Models that come in several forms: an example of each. */
const EXAMPLES: Readonly<Record<string, object>> = {
  "#/components/schemas/TestResult": {
    delivered: { value: { success: true, status: 200 } },
    "not 2xx": { value: { success: false, status: 500, error: "Endpoint responded with status 500" } },
    unreachable: { value: { success: false, error: "Connection failed or timed out" } },
    refused: { value: { success: false, error: "Target address is not allowed" } },
  },
};

/** An operation, and where its parameters are in the answer (OpenAPI 3.0, "Runtime Expressions"). */
export interface LinkDocument {
  operationId: string;
  parameters: Readonly<Record<string, string>>;
}

/** Links to operations on one webhook, whose id is at a place in the answer. */
export function webhookLinks(at: string): Readonly<Record<string, LinkDocument>> {
  return {
    GetWebhook: link("getV1WebhooksById", at),
    UpdateWebhook: link("patchV1WebhooksById", at),
    TestWebhook: link("postV1WebhooksByIdTest", at),
    RotateSecret: link("postV1WebhooksByIdRotateSecret", at),
    ListDeliveries: link("getV1WebhooksByIdDeliveries", at),
    RecoverWebhook: link("postV1WebhooksByIdRecover", at),
    GetStatistics: link("getV1Stats", at, "webhook_id"),
    DeleteWebhook: link("deleteV1WebhooksById", at),
  };
}

/** Links to operations on one delivery. */
export function deliveryLinks(at: string): Readonly<Record<string, LinkDocument>> {
  return {
    GetDelivery: link("getV1DeliveriesById", at),
    RetryDelivery: link("postV1DeliveriesByIdRetry", at),
  };
}

/** A link to an operation on what the answer has at a place. */
export function link(operationId: string, at: string, parameter = "id"): LinkDocument {
  return { operationId, parameters: { [parameter]: `$response.body#/${at}` } };
}

export interface RouteDocument {
  summary: string;
  description: string;
  status: 200 | 201 | 202;
  answer: string;
  schema: Schema;
  hasId?: boolean;
  hasBody?: boolean;
  /** Whether it depends on what was done before. */
  hasState?: boolean;
  carriesSecret?: boolean;
  /** Whether a query parameter may name a webhook. */
  mayNameWebhook?: boolean;
  /** Of an answer that is not JSON, with an example. */
  mediaType?: string;
  /** What can be asked next, with what of the answer. */
  links?: Readonly<Record<string, LinkDocument>>;
  /** What it will lead to. */
  callbacks?: object;
  example?: string;
}

/** The `detail` of a /v1 route: summary, security, and every answer with its headers and an example. */
export function documentRoute({ summary, description, status, answer, schema, ...traits }: RouteDocument) {
  const codes = [
    ...EVERY_V1,
    ...(traits.hasId || traits.mayNameWebhook ? WITH_ID : []),
    ...(traits.hasBody ? WITH_BODY : []),
    ...(traits.hasState ? WITH_STATE : []),
  ];
  const headers = { ...REQUEST_ID, ...RATE_LIMIT, ...(traits.carriesSecret && NO_STORE) };
  const examples = EXAMPLES[String(schema.$ref)];
  const { mediaType = "application/json", example, links, callbacks } = traits;
  const content = { [mediaType]: { schema, ...(examples && { examples }), ...(example && { example }) } };
  return {
    summary,
    description,
    security: [{ apiKey: [] }],
    responses: {
      [status]: { description: answer, headers, content, ...(links && { links }) },
      ...errorAnswers(codes),
    },
    ...(callbacks && { callbacks }),
  } as object;
}

function errorAnswers(codes: readonly ErrorCode[]): Record<string, { $ref: string }> {
  return Object.fromEntries(codes.map((code) => [ERROR_STATUS[code], errorAnswer(code)]));
}

/** An answer of a route that needs no key. */
export function openAnswer(description: string, mediaType: string, schema: Schema, example?: unknown) {
  const content = { [mediaType]: { schema, ...(example !== undefined && { example }) } };
  return { description, headers: REQUEST_ID, content };
}

/** What the plugin makes of the routes, as far as it matters here. */
export interface ApiDocument {
  paths: Record<string, Record<string, Operation>>;
}

interface Operation {
  operationId: string;
  parameters?: object[];
  responses: Record<string, unknown>;
  requestBody?: { required: boolean; content: Record<string, { schema: { required?: string[] } }> };
}

/** Adds what holds for every route, and puts right what the plugin says of paths and bodies. */
export function finishDocument({ paths, ...rest }: ApiDocument): ApiDocument {
  const finished = Object.entries(paths).map(([path, operations]) => [
    path.replace(/(?<=.)\/$/, ""),
    Object.fromEntries(
      Object.entries(operations).map(([method, one]) => [method, finishOperation(one, method)]),
    ),
  ]);
  return { ...rest, paths: Object.fromEntries(finished) };
}

function finishOperation({ responses, requestBody, ...rest }: Operation, method: string): Operation {
  const operationId = rest.operationId.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
  const parameters = rest.parameters && { parameters: inWordsOfOpenApi(rest.parameters) as object[] };
  const finished = {
    ...rest,
    ...parameters,
    operationId,
    responses: {
      ...responses,
      ...(method !== "get" && { 403: { $ref: `#/components/responses/${REFUSED_CHANGE}` } }),
      ...errorAnswers(EVERY_ROUTE),
    },
  };
  if (!requestBody) return finished;
  // The plugin calls every body required, also one that may be left out.
  const required = Object.values(requestBody.content).some(({ schema }) => schema.required !== undefined);
  const content = inWordsOfOpenApi(requestBody.content) as typeof requestBody.content;
  return { ...finished, requestBody: { ...requestBody, required, content } };
}

/** Schemas as OpenAPI 3.0 writes them: null is no type there, and lengths count characters. */
function inWordsOfOpenApi(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inWordsOfOpenApi);
  if (typeof value !== "object" || value === null) return value;
  const {
    anyOf,
    [MAX_CHARACTERS]: maxLength,
    [DOCUMENTED]: documented,
    ...rest
  } = value as Record<string, unknown>;
  const plain = Object.fromEntries(Object.entries(rest).map(([name, one]) => [name, inWordsOfOpenApi(one)]));
  const inner = Array.isArray(anyOf) ? anyOf.find(({ type }) => type !== "null") : undefined;
  return {
    ...plain,
    ...(inner && { ...(inWordsOfOpenApi(inner) as object), nullable: true }),
    ...(maxLength !== undefined && { maxLength }),
    ...(documented as object | undefined),
  };
}

/** What a schema says in the document instead of, or beside, what requests are checked by: not less strict than that. */
export const DOCUMENTED = "x-document";

/** A string's longest length in characters: `maxLength` is counted in UTF-16 units where requests are checked. */
export const MAX_CHARACTERS = "x-max-characters";
