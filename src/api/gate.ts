import { AppError } from "../errors.ts";
import type { ApiKeys, Identity } from "../store/api-keys.ts";
import { authenticate, requireWebhookAlerts } from "./auth.ts";
import { unknownFields } from "./errors.ts";
import type { RateLimiter } from "./rate-limit.ts";

/** What must hold before a request reaches its route: it exists, who asks may, and the body is one that is read. */
export interface Gate {
  /** Rejects with AppError; for routes below /v1 resolves with who is asking. */
  admit(request: Request, headers: Record<string, string | number>): Promise<Identity | null>;
  /** Whether the key of a request that was admitted would be admitted still; it is not counted against its limit. */
  stillHolds(request: Request): Promise<boolean>;
}

export interface GateOptions {
  routes: readonly { method: string; path: string }[];
  identify: ApiKeys["identify"];
  limiter: RateLimiter;
  now: () => number;
}

export const MAX_BODY_BYTES = 64 * 1024;

const READING: ReadonlySet<string> = new Set(["GET", "HEAD"]);

export function createGate({ routes, identify: identifyKey, limiter, now }: GateOptions): Gate {
  const allowed = methodsByPattern(routes);

  const checkRoute = (method: string, path: string): void => {
    const route = allowed.find(({ pattern }) => pattern.test(path));
    if (!route) throw new AppError("NOT_FOUND", "no such route; see /swagger for those that exist");
    if (route.methods.has(method)) return;
    const allow = [...route.methods].join(", ");
    throw new AppError("METHOD_NOT_ALLOWED", `this path takes ${allow} only`, { allow });
  };

  const identify = async (request: Request, headers: Record<string, string | number>): Promise<Identity> => {
    const identity = await authenticate(request.headers.get("authorization"), identifyKey, now());
    if (identity.key.readOnly) headers["x-key-access"] = "read";
    const state = limiter.take(identity.key.id, identity.key.rateLimitPerMinute);
    headers["x-ratelimit-limit"] = state.limit;
    headers["x-ratelimit-remaining"] = state.remaining;
    headers["x-ratelimit-reset"] = state.resetSeconds;
    if (!state.allowed) {
      const message = `more than ${state.limit} requests in a minute; try again in ${state.resetSeconds} s`;
      throw new AppError("RATE_LIMIT_EXCEEDED", message, { "retry-after": String(state.resetSeconds) });
    }
    requireWebhookAlerts(identity.organization);
    if (identity.key.readOnly && !READING.has(request.method)) {
      throw new AppError("READ_ONLY_KEY", "this API key may only read: it takes GET and HEAD");
    }
    return identity;
  };

  return {
    async stillHolds({ headers }) {
      try {
        const { organization } = await authenticate(headers.get("authorization"), identifyKey, now());
        requireWebhookAlerts(organization);
        return true;
      } catch (error) {
        if (error instanceof AppError) return false;
        throw error;
      }
    },
    async admit(request, headers) {
      const { pathname: path, search } = parsed(request.url);
      checkRoute(request.method, path);
      // No id and no name has one, and not every database can be asked for it.
      if (NUL.test(path)) throw new AppError("NOT_FOUND", "nothing has an id with NUL in it");
      if (NUL.test(search)) throw new AppError("VALIDATION_ERROR", "a query parameter must not contain NUL");
      const identity = path.startsWith("/v1/") ? await identify(request, headers) : null;
      checkBody(request.headers);
      return identity;
    },
  };
}

/** The server passes a Host header on as it came, and leaves out a missing one (HTTP/1.0). */
function parsed(url: string): URL {
  const read = URL.parse(url);
  if (!read) throw new AppError("VALIDATION_ERROR", "the host header must be a host name");
  return read;
}

const NUL = /%00/;

function methodsByPattern(routes: GateOptions["routes"]): { pattern: RegExp; methods: Set<string> }[] {
  const byPath = new Map<string, Set<string>>();
  for (const { method, path: declared } of routes) {
    const path = declared.replace(/\/$/, "");
    const methods = byPath.get(path) ?? new Set();
    methods.add(method);
    if (method === "GET") methods.add("HEAD");
    byPath.set(path, methods);
  }
  return [...byPath].map(([path, methods]) => ({
    pattern: new RegExp(`^${path.replace(/\./g, "\\.").replace(/:\w+/g, "[^/]+")}/?$`),
    methods,
  }));
}

/** Length and type as declared; a body of unstated length is counted while it is read. */
function checkBody(headers: Headers): void {
  const length = Number(headers.get("content-length") ?? 0);
  if (length > MAX_BODY_BYTES) throw tooLarge();
  const hasBody = length > 0 || headers.has("transfer-encoding");
  const type = headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (hasBody && type !== "application/json") {
    throw new AppError("UNSUPPORTED_MEDIA_TYPE", "the body must be sent with content-type: application/json");
  }
}

function tooLarge(): AppError {
  return new AppError("PAYLOAD_TOO_LARGE", `the body must not be larger than ${MAX_BODY_BYTES / 1024} KiB`);
}

/** Reads a JSON object of at most 64 KiB; an empty one when there is no body. Throws AppError. */
async function readJson(request: Request): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return length === 0 ? {} : parseObject(Buffer.concat(chunks));
}

function parseObject(bytes: Uint8Array): object {
  const value = parseJson(bytes);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new AppError("VALIDATION_ERROR", "the body must be a JSON object");
  }
  if (isDeeperThan(MAX_DEPTH, value)) {
    throw new AppError("VALIDATION_ERROR", `the body must not be nested deeper than ${MAX_DEPTH} levels`);
  }
  return value;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new AppError("VALIDATION_ERROR", "the body must be valid JSON in UTF-8");
  }
}

/** No body that is taken has more than two; Elysia's report on a deep one would take seconds and gigabytes. */
const MAX_DEPTH = 16;

function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeperThan(levels - 1, inner));
}

/** For routes that take no fields. Throws AppError. */
export function checkEmpty(body: unknown): void {
  const names = Object.keys((body ?? {}) as object);
  if (names.length > 0) throw new AppError("VALIDATION_ERROR", unknownFields("field", names));
}

/** The `parse` of every route: our own reader answers, "json" tells the OpenAPI document what is taken. */
export const READ_JSON = [({ request }: { request: Request }) => readJson(request), "json" as const];
