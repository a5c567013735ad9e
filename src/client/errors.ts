/** What an error knows about the answer it came from; both are null when no answer arrived. */
export interface ErrorDetails {
  code: string;
  status?: number | null;
  requestId?: string | null;
  cause?: unknown;
}

/**
 * Every failure of the client. `code` is the API's code, or one of the client's own: `NETWORK_ERROR`,
 * `TIMEOUT`, `INVALID_RESPONSE`, `UNEXPECTED_REDIRECT`, `SERVICE_UNAVAILABLE`, `INVALID_ARGUMENT`.
 */
export class IndigiArmorError extends Error {
  // Written out, as a minified class has another name.
  override readonly name: string = "IndigiArmorError";
  readonly code: string;
  /** The HTTP status, or null when no answer arrived. */
  readonly status: number | null;
  /** The `x-request-id` of the answer: quote it to the operator, it is in the logs. */
  readonly requestId: string | null;

  constructor(message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = details.code;
    this.status = details.status ?? null;
    this.requestId = details.requestId ?? null;
  }
}

/** 401: the key is missing, unknown, disabled or expired. */
export class AuthenticationError extends IndigiArmorError {
  override readonly name: string = "AuthenticationError";
}

/** 400, 413 or 415, or an id that cannot be one (then `status` is null): nothing was changed. */
export class ValidationError extends IndigiArmorError {
  override readonly name: string = "ValidationError";
}

/** 404: no such webhook or delivery in the key's organization. */
export class NotFoundError extends IndigiArmorError {
  override readonly name: string = "NotFoundError";
}

/** 429: over the key's rate limit; the same call may be made again after `retryAfter` seconds. */
export class RateLimitError extends IndigiArmorError {
  override readonly name: string = "RateLimitError";
  readonly retryAfter: number;

  constructor(message: string, details: ErrorDetails & { retryAfter: number }) {
    super(message, details);
    this.retryAfter = details.retryAfter;
  }
}

/** The error for an answer that is not 2xx; `body` is its parsed JSON, or undefined if it was not JSON. */
export function errorFromAnswer(answer: Response, body: unknown): IndigiArmorError {
  const envelope = readEnvelope(body);
  const requestId = envelope?.requestId ?? answer.headers.get("x-request-id");
  const details = { status: answer.status, requestId };
  if (answer.status === 429) return rateLimitError(answer, { ...details, message: envelope?.message });
  // Something else than the daemon answered, so a 404 here says nothing about a webhook: no subclass.
  if (envelope === null) return foreignAnswerError(answer);
  const message = envelope.message + advice(answer.status, envelope.code);
  const ErrorClass = CLASS_OF_STATUS[answer.status] ?? IndigiArmorError;
  return new ErrorClass(message, { ...details, code: envelope.code });
}

const CLASS_OF_STATUS: Record<number, typeof IndigiArmorError> = {
  400: ValidationError,
  401: AuthenticationError,
  404: NotFoundError,
  413: ValidationError,
  415: ValidationError,
};

interface AnswerDetails {
  status: number;
  requestId: string | null;
}

function readEnvelope(body: unknown): { code: string; message: string; requestId: string | null } | null {
  const error = isObject(body) ? body.error : undefined;
  if (!isObject(error)) return null;
  const { code, message, request_id: requestId } = error;
  if (typeof code !== "string" || typeof message !== "string") return null;
  return { code, message, requestId: typeof requestId === "string" ? requestId : null };
}

function rateLimitError(
  answer: Response,
  details: AnswerDetails & { message: string | undefined },
): RateLimitError {
  const retryAfter = readRetryAfter(answer.headers);
  const message = `${details.message ?? "Too many requests"} (try again in ${retryAfter} s)`;
  return new RateLimitError(message, { ...details, code: "RATE_LIMIT_EXCEEDED", retryAfter });
}

function readRetryAfter(headers: Headers): number {
  for (const name of ["retry-after", "x-ratelimit-reset"]) {
    const seconds = Number.parseInt(headers.get(name) ?? "", 10);
    if (seconds >= 0) return seconds;
  }
  return 60; // the length of the daemon's rate-limit window
}

function advice(status: number, code: string): string {
  if (code === "FEATURE_NOT_AVAILABLE") return " (ask the operator for a plan that includes it)";
  if (status >= 500) return " (try again later; if it stays, give the operator the request id)";
  return "";
}

/** The error for an answer that the API does not give, as from a proxy or another server. */
export function foreignAnswerError(answer: Response): IndigiArmorError {
  const details = { status: answer.status, requestId: answer.headers.get("x-request-id") };
  if (answer.status >= 500) {
    const message = `The API is not available (HTTP ${answer.status}): try again later, or ask its operator`;
    return new IndigiArmorError(message, { ...details, code: "SERVICE_UNAVAILABLE" });
  }
  const message = `The answer (HTTP ${answer.status}) is not from the armorhooks API: check baseUrl`;
  return new IndigiArmorError(message, { ...details, code: "INVALID_RESPONSE" });
}

/** The error for a redirect, which the client never follows; browsers hide its status behind 0. */
export function redirectError(answer: Response): IndigiArmorError {
  const message = "The API answered with a redirect: set baseUrl to the address that it redirects to";
  return new IndigiArmorError(message, { code: "UNEXPECTED_REDIRECT", status: answer.status || null });
}

/** The error for a call that was given up after `timeout` milliseconds; it may have had its effect. */
export function timeoutError(timeout: number, cause: unknown): IndigiArmorError {
  const message = `No answer within ${timeout} ms: check that the daemon is not overloaded, or raise timeout`;
  return new IndigiArmorError(message, { code: "TIMEOUT", cause });
}

/** The error for a connection that failed before the answer was complete. */
export function networkError(baseUrl: string, cause: unknown): IndigiArmorError {
  const reason = causeCode(cause);
  const where = reason ? `${baseUrl} (${reason})` : baseUrl;
  const message = `Cannot reach ${where}: check baseUrl and that the daemon is running`;
  return new IndigiArmorError(message, { code: "NETWORK_ERROR", cause });
}

/** True for a JSON object, false for null, arrays and everything else. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

// Node puts the code of the socket's error into the cause of its "fetch failed".
function causeCode(error: unknown): string {
  if (!(error instanceof Error)) return "";
  const code = "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : causeCode(error.cause);
}
