import { AppError } from "../errors.ts";
import { authenticate, type FindKey, type Identity, requireWebhookAlerts } from "./auth.ts";
import type { RateLimiter } from "./rate-limit.ts";

/** What must hold before a request reaches its route: it exists, who asks may, and the body is one that is read. */
export interface Gate {
  /** Throws AppError; for routes below /v1 answers who is asking. */
  admit(request: Request, headers: Record<string, string | number>): Identity | null;
}

export interface GateOptions {
  routes: readonly { method: string; path: string }[];
  findKey: FindKey;
  limiter: RateLimiter;
  now: () => number;
}

export const MAX_BODY_BYTES = 64 * 1024;

export function createGate({ routes, findKey, limiter, now }: GateOptions): Gate {
  const allowed = methodsByPattern(routes);

  const checkRoute = (method: string, path: string): void => {
    const route = allowed.find(({ pattern }) => pattern.test(path));
    if (!route) throw new AppError("NOT_FOUND", "no such route; see /swagger for those that exist");
    if (route.methods.has(method)) return;
    const allow = [...route.methods].join(", ");
    throw new AppError("METHOD_NOT_ALLOWED", `this path takes ${allow} only`, { allow });
  };

  const identify = (request: Request, headers: Record<string, string | number>): Identity => {
    const identity = authenticate(request.headers.get("authorization"), findKey, now());
    const state = limiter.take(identity.key.id, identity.key.rateLimitPerMinute);
    headers["x-ratelimit-limit"] = state.limit;
    headers["x-ratelimit-remaining"] = state.remaining;
    headers["x-ratelimit-reset"] = state.resetSeconds;
    if (!state.allowed) {
      const message = `more than ${state.limit} requests in a minute; try again in ${state.resetSeconds} s`;
      throw new AppError("RATE_LIMIT_EXCEEDED", message, { "retry-after": String(state.resetSeconds) });
    }
    requireWebhookAlerts(identity.organization);
    return identity;
  };

  return {
    admit(request, headers) {
      const path = new URL(request.url).pathname;
      checkRoute(request.method, path);
      const identity = path.startsWith("/v1/") ? identify(request, headers) : null;
      checkBody(request.headers);
      return identity;
    },
  };
}

function methodsByPattern(routes: GateOptions["routes"]): { pattern: RegExp; methods: Set<string> }[] {
  const byPath = new Map<string, Set<string>>();
  for (const { method, path: declared } of routes) {
    const path = declared.replace(/\/$/, "");
    byPath.set(path, (byPath.get(path) ?? new Set()).add(method));
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

/** Reads a JSON body of at most 64 KiB; an empty object when there is none. Throws AppError. */
async function readJson(request: Request): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  if (length === 0) return {};
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks)));
  } catch {
    throw new AppError("VALIDATION_ERROR", "the body must be valid JSON in UTF-8");
  }
}

/** The `parse` of every route: our own reader answers, "json" tells the OpenAPI document what is taken. */
export const READ_JSON = [({ request }: { request: Request }) => readJson(request), "json" as const];
