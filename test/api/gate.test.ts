import { beforeEach, describe, expect, test } from "bun:test";
import { createGate, type Gate } from "../../src/api/gate.ts";
import { createRateLimiter } from "../../src/api/rate-limit.ts";
import type { Plan } from "../../src/plans.ts";
import type { Identity } from "../../src/store/api-keys.ts";

const ROUTES = [
  { method: "GET", path: "/v1/webhooks/" },
  { method: "POST", path: "/v1/webhooks" },
  { method: "DELETE", path: "/v1/webhooks/:id" },
  { method: "GET", path: "/health" },
  { method: "GET", path: "/openapi.json" },
];

function identityOf(key: Partial<Identity["key"]> = {}, plan: Plan = "professional"): Identity {
  return {
    key: { id: 1, rateLimitPerMinute: 2, readOnly: false, enabled: true, expiresAt: null, ...key },
    organization: { id: 1, uuid: "organization", plan },
  } as Identity;
}

let identity: Identity | null;
let identified: number;
let gate: Gate;

beforeEach(() => {
  identity = identityOf();
  identified = 0;
  gate = createGate({
    routes: ROUTES,
    identify: () => {
      identified += 1;
      return identity;
    },
    limiter: createRateLimiter(() => 0),
    now: () => 1_000,
  });
});

function requestOf(method: string, path: string, headers: Record<string, string> = {}): Request {
  return new Request(`http://localhost${path}`, {
    method,
    headers: { authorization: "Bearer ia_sk_1", ...headers },
  });
}

/** What a request is refused with: the code and the header fields that go with it; null when it is admitted. */
async function refusalOf(request: Request): Promise<unknown> {
  return gate.admit(request, {}).then(
    () => null,
    ({ code, headers }) => [code, headers],
  );
}

async function codeOf(request: Request): Promise<unknown> {
  const refusal = await refusalOf(request);
  return Array.isArray(refusal) ? refusal[0] : refusal;
}

describe("a request", () => {
  test.each([
    ["GET", "/v1/webhooks"],
    ["HEAD", "/v1/webhooks/"],
    ["DELETE", "/v1/webhooks/7"],
    ["GET", "/health"],
    ["HEAD", "/openapi.json"],
  ])("%s %s is admitted", async (method, path) => {
    expect(await refusalOf(requestOf(method, path))).toBeNull();
  });

  test.each([
    ["GET", "/v1/webhooks/7/more", ["NOT_FOUND", {}]],
    ["GET", "/openapi-json", ["NOT_FOUND", {}]],
    ["PUT", "/v1/webhooks", ["METHOD_NOT_ALLOWED", { allow: "GET, HEAD, POST" }]],
    ["POST", "/v1/webhooks/7", ["METHOD_NOT_ALLOWED", { allow: "DELETE" }]],
  ])("%s %s is not: %p", async (method, path, refusal) => {
    expect(await refusalOf(requestOf(method, path))).toEqual(refusal);
    // Nobody is asked for whom it is, nor is it counted.
    expect(identified).toBe(0);
  });

  test("below /v1 says who asks, and how much of the key's minute is left; elsewhere nobody is asked", async () => {
    const headers: Record<string, string | number> = {};
    expect(await gate.admit(requestOf("GET", "/v1/webhooks"), headers)).toBe(identity);
    expect(headers).toEqual({
      "x-ratelimit-limit": 2,
      "x-ratelimit-remaining": 1,
      "x-ratelimit-reset": 60,
    });
    expect(await gate.admit(requestOf("GET", "/health"), {})).toBeNull();
    expect(identified).toBe(1);
  });

  test("past the key's limit is told when to come again", async () => {
    const request = () => requestOf("GET", "/v1/webhooks");
    expect([await refusalOf(request()), await refusalOf(request())]).toEqual([null, null]);
    expect(await refusalOf(request())).toEqual(["RATE_LIMIT_EXCEEDED", { "retry-after": "60" }]);
  });

  test.each<[string, () => Identity | null, string]>([
    ["an unknown key", () => null, "AUTHENTICATION_ERROR"],
    ["a revoked one", () => identityOf({ enabled: false }), "AUTHENTICATION_ERROR"],
    ["one that expires now", () => identityOf({ expiresAt: 1_000 }), "AUTHENTICATION_ERROR"],
    ["a plan without webhooks", () => identityOf({}, "starter"), "FEATURE_NOT_AVAILABLE"],
  ])("with %s is refused, and what was open with it is closed", async (_, of, code) => {
    const request = requestOf("GET", "/v1/webhooks");
    expect(await gate.stillHolds(request)).toBe(true);
    identity = of();
    expect(await codeOf(request)).toBe(code);
    expect(await gate.stillHolds(request)).toBe(false);
  });

  test("that changes something is refused to a key that only reads, and counts", async () => {
    identity = identityOf({ readOnly: true });
    const headers: Record<string, string | number> = {};
    await gate.admit(requestOf("GET", "/v1/webhooks"), headers);
    expect(headers["x-key-access"]).toBe("read");
    expect(await refusalOf(requestOf("POST", "/v1/webhooks"))).toEqual(["READ_ONLY_KEY", {}]);
    expect(await codeOf(requestOf("GET", "/v1/webhooks"))).toBe("RATE_LIMIT_EXCEEDED");
  });

  test("is refused for a body that is too large or of another type, as declared", async () => {
    identity = identityOf({ rateLimitPerMinute: 9 });
    const post = (length: string, type: string) =>
      codeOf(requestOf("POST", "/v1/webhooks", { "content-length": length, "content-type": type }));
    expect(await post("65537", "application/json")).toBe("PAYLOAD_TOO_LARGE");
    expect(await post("2", "text/plain")).toBe("UNSUPPORTED_MEDIA_TYPE");
    expect(await post("2", "Application/JSON; charset=utf-8")).toBeNull();
  });

  test("whose key cannot be looked up is not taken for one without: the fault goes on", async () => {
    const broken = createGate({
      routes: ROUTES,
      identify: () => Promise.reject(new TypeError("the store is away")),
      limiter: createRateLimiter(() => 0),
      now: () => 0,
    });
    await expect(broken.stillHolds(requestOf("GET", "/v1/webhooks"))).rejects.toThrow("the store is away");
    await expect(broken.admit(requestOf("GET", "/v1/webhooks"), {})).rejects.toThrow("the store is away");
  });
});
