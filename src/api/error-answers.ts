import { ERROR_STATUS, type ErrorCode } from "../errors.ts";
import { header, RATE_LIMIT, REQUEST_ID, REQUEST_ID_EXAMPLE, ref } from "./document-parts.ts";

/** What is away for a while is looked for again after so many seconds, not at once by everybody. */
export const RETRY_AFTER_SECONDS = 5;
export const RETRY_AFTER = { "retry-after": header("Seconds to wait.", RETRY_AFTER_SECONDS) };

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
    message: "the store cannot be read or written now; nothing was changed, try again soon",
    headers: { ...RATE_LIMIT, ...RETRY_AFTER },
  },
};

export const EVERY_V1: readonly ErrorCode[] = [
  "VALIDATION_ERROR",
  "AUTHENTICATION_ERROR",
  "FEATURE_NOT_AVAILABLE",
  "RATE_LIMIT_EXCEEDED",
  "UNAVAILABLE",
];
export const WITH_ID: readonly ErrorCode[] = ["NOT_FOUND"];
export const WITH_STATE: readonly ErrorCode[] = ["CONFLICT"];
export const WITH_BODY: readonly ErrorCode[] = ["PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"];
export const EVERY_ROUTE: readonly ErrorCode[] = ["METHOD_NOT_ALLOWED", "INTERNAL_ERROR"];

/** One status, two codes: what is refused to who asks for a change. */
export const REFUSED_CHANGE = "REFUSED_CHANGE";

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

/** By status, as an operation lists them. */
export function errorAnswers(codes: readonly ErrorCode[]): Record<string, { $ref: string }> {
  return Object.fromEntries(codes.map((code) => [ERROR_STATUS[code], errorAnswer(code)]));
}
