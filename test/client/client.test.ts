import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  AuthenticationError,
  IndigiArmor,
  IndigiArmorError,
  type IndigiArmorOptions,
  NotFoundError,
  RateLimitError,
  ValidationError,
} from "../../src/client/index.ts";
import { SEED_TYPESCRIPT } from "../support/seed-examples.ts";

const KEY = `ia_sk_${"0123456789abcdef".repeat(3)}`;
const ID = "6f9f4e1c-2b57-4d0c-9a54-0d4f3c1b2a10";

const WEBHOOK = {
  id: ID,
  url: "https://hooks.slack.com/services/T.../B.../xxx",
  events: ["red_tier"],
  format: "json",
  enabled: true,
  failure_count: 0,
  last_triggered_at: null,
  created_at: "2026-01-15T10:00:00.000Z",
};

const DELIVERY = {
  id: "d-1",
  webhook_id: ID,
  event_id: "e-1",
  event: "red_tier",
  status: "failed",
  attempt_count: 1,
  next_attempt_at: null,
  last_status: 500,
  last_error: "http_status",
  created_at: "2026-01-15T10:00:00.000Z",
  finished_at: "2026-01-15T10:00:09.000Z",
};

interface SeenRequest {
  line: string;
  authorization: string | null;
  contentType: string | null;
  body: unknown;
}

type Answer = () => Response | Promise<Response>;

function startApi() {
  const seen: SeenRequest[] = [];
  const answers = new Map<string, Answer>();
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const url = new URL(request.url);
      const line = `${request.method} ${url.pathname}${url.search}`;
      const text = await request.text();
      seen.push({
        line,
        authorization: request.headers.get("authorization"),
        contentType: request.headers.get("content-type"),
        body: text === "" ? undefined : JSON.parse(text),
      });
      const answer = answers.get(line) ?? answers.get("*");
      return answer ? answer() : errorAnswer(404, "NOT_FOUND", `No such route: ${line}`);
    },
  });
  return { seen, answers, server, url: `http://127.0.0.1:${server.port}` };
}

function json(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return Response.json(body, { status, headers: { "x-request-id": "req_header", ...headers } });
}

function errorAnswer(status: number, code: string, message: string, headers: Record<string, string> = {}) {
  return json({ error: { code, message, request_id: "req_1" } }, status, headers);
}

async function failureOf(call: Promise<unknown>): Promise<IndigiArmorError> {
  const outcome = await call.then(
    () => "resolved",
    (error: unknown) => error,
  );
  if (outcome instanceof IndigiArmorError) return outcome;
  throw new Error(`expected an IndigiArmorError, got ${String(outcome)}`);
}

let api: ReturnType<typeof startApi>;

beforeEach(() => {
  api = startApi();
});

afterEach(async () => {
  await api.server.stop(true);
});

function client(options: IndigiArmorOptions = {}): IndigiArmor {
  return new IndigiArmor(KEY, { baseUrl: api.url, ...options });
}

function answerWith(answer: Answer): void {
  api.answers.set("*", answer);
}

/** The fields of an error that a caller may branch on. */
function fieldsOf(error: IndigiArmorError) {
  return { name: error.name, code: error.code, status: error.status, requestId: error.requestId };
}

describe("the documented methods", () => {
  test("the examples of the API document run unchanged", async () => {
    api.answers.set("POST /v1/webhooks", () => json({ webhook: { ...WEBHOOK, secret: "a1b2" } }, 201));
    api.answers.set("GET /v1/webhooks", () => json({ webhooks: [WEBHOOK] }));
    api.answers.set(`PATCH /v1/webhooks/${ID}`, () => json({ webhook: WEBHOOK }));
    api.answers.set(`POST /v1/webhooks/${ID}/test`, () => json({ success: true, status: 200 }));
    api.answers.set(`DELETE /v1/webhooks/${ID}`, () => json({ deleted: true }));
    const printed: unknown[][] = [];
    const run = new Function("armor", "console", `return (async () => {${SEED_TYPESCRIPT}})();`);

    await run(client(), { log: (...words: unknown[]) => printed.push(words) });

    expect(printed).toEqual([
      ["Secret:", "a1b2"],
      ["Reachable:", true],
    ]);
    expect(api.seen.map(({ line, body }) => [line, body])).toEqual([
      ["POST /v1/webhooks", { url: WEBHOOK.url, events: ["red_tier"] }],
      ["GET /v1/webhooks", undefined],
      [`PATCH /v1/webhooks/${ID}`, { events: ["red_tier", "yellow_tier"] }],
      [`POST /v1/webhooks/${ID}/test`, undefined],
      [`DELETE /v1/webhooks/${ID}`, undefined],
    ]);
  });

  test("every request carries the key, and a body is declared as JSON", async () => {
    answerWith(() => json({ webhook: WEBHOOK, webhooks: [] }));
    await client().createWebhook({ url: WEBHOOK.url });
    await client().listWebhooks();
    expect(api.seen.map((request) => request.authorization)).toEqual([`Bearer ${KEY}`, `Bearer ${KEY}`]);
    expect(api.seen.map((request) => request.contentType)).toEqual(["application/json", null]);
  });

  test("answers come back unwrapped", async () => {
    answerWith(() => json({ webhook: WEBHOOK, webhooks: [WEBHOOK], deleted: true }));
    expect(await client().createWebhook({ url: WEBHOOK.url })).toMatchObject(WEBHOOK);
    expect(await client().listWebhooks()).toMatchObject([WEBHOOK]);
    expect(await client().updateWebhook(ID, { enabled: true })).toMatchObject(WEBHOOK);
    expect(await client().getWebhook(ID)).toMatchObject(WEBHOOK);
    expect(await client().deleteWebhook(ID)).toMatchObject({ deleted: true });
  });

  test("a test that fails is a result, not an error", async () => {
    const failed = { success: false, error: "Connection failed or timed out" };
    answerWith(() => json(failed));
    expect(await client().testWebhook(ID)).toEqual(failed);
  });
});

describe("deliveries and secrets", () => {
  test("deliveries are listed with the filters that were given, and the page has its cursor", async () => {
    answerWith(() => json({ deliveries: [DELIVERY], next_cursor: "c/2" }));
    const page = await client().listDeliveries(ID, { status: "failed", limit: 1 });
    await client().listDeliveries(ID, { cursor: page.next_cursor });
    await client().listDeliveries(ID, { cursor: null });
    expect<unknown>(page).toEqual({ deliveries: [DELIVERY], next_cursor: "c/2" });
    expect(api.seen.map((request) => request.line)).toEqual([
      `GET /v1/webhooks/${ID}/deliveries?status=failed&limit=1`,
      `GET /v1/webhooks/${ID}/deliveries?cursor=c%2F2`,
      `GET /v1/webhooks/${ID}/deliveries`,
    ]);
  });

  test("a delivery is read and retried", async () => {
    answerWith(() => json({ delivery: DELIVERY }));
    expect(await client().getDelivery("d-1")).toMatchObject(DELIVERY);
    expect(await client().retryDelivery("d-1")).toMatchObject(DELIVERY);
    expect(api.seen.map((request) => request.line)).toEqual([
      "GET /v1/deliveries/d-1",
      "POST /v1/deliveries/d-1/retry",
    ]);
  });

  test("recovering takes dates or ISO strings", async () => {
    answerWith(() => json({ recovered: 3 }, 202));
    const since = "2026-01-15T10:00:00.000Z";
    expect(await client().recoverWebhook(ID, { since })).toEqual({ recovered: 3 });
    await client().recoverWebhook(ID, { since: new Date(since), until: new Date(since) });
    expect(api.seen.map((request) => request.body)).toEqual([{ since }, { since, until: since }]);
  });

  test("rotating returns the webhook with its new secret", async () => {
    answerWith(() => json({ webhook: { ...WEBHOOK, secret: "new" } }));
    expect((await client().rotateSecret(ID)).secret).toBe("new");
    await client().rotateSecret(ID, { overlap_seconds: 0 });
    expect(api.seen.map((request) => request.line)).toContain(`POST /v1/webhooks/${ID}/rotate-secret`);
    expect(api.seen.map((request) => request.body)).toEqual([{}, { overlap_seconds: 0 }]);
  });
});

describe("errors of the API", () => {
  const cases = [
    { status: 400, code: "VALIDATION_ERROR", type: ValidationError, name: "ValidationError" },
    { status: 401, code: "AUTHENTICATION_ERROR", type: AuthenticationError, name: "AuthenticationError" },
    { status: 403, code: "FEATURE_NOT_AVAILABLE", type: IndigiArmorError, name: "IndigiArmorError" },
    { status: 404, code: "NOT_FOUND", type: NotFoundError, name: "NotFoundError" },
    { status: 405, code: "METHOD_NOT_ALLOWED", type: IndigiArmorError, name: "IndigiArmorError" },
    { status: 413, code: "PAYLOAD_TOO_LARGE", type: ValidationError, name: "ValidationError" },
    { status: 415, code: "UNSUPPORTED_MEDIA_TYPE", type: ValidationError, name: "ValidationError" },
    { status: 429, code: "RATE_LIMIT_EXCEEDED", type: RateLimitError, name: "RateLimitError" },
    { status: 500, code: "INTERNAL_ERROR", type: IndigiArmorError, name: "IndigiArmorError" },
  ];

  for (const { status, code, type, name } of cases) {
    test(`${status} ${code} rejects with ${name}`, async () => {
      answerWith(() => errorAnswer(status, code, "what is wrong"));
      const error = await failureOf(client().listWebhooks());
      expect(error).toBeInstanceOf(type);
      expect(fieldsOf(error)).toEqual({ name, code, status, requestId: "req_1" });
      expect(error.message).toStartWith("what is wrong");
    });
  }

  test("a missing feature says whom to ask", async () => {
    answerWith(() => errorAnswer(403, "FEATURE_NOT_AVAILABLE", "webhookAlerts is not in the plan starter"));
    const error = await failureOf(client().listWebhooks());
    expect(error.message).toMatch(/^webhookAlerts is not in the plan starter .*operator/);
  });

  test("a rate limit tells the seconds to wait, from either header", async () => {
    const limits = [{ "retry-after": "7" }, { "x-ratelimit-reset": "9" }, {}];
    const seconds: unknown[] = [];
    for (const headers of limits) {
      answerWith(() =>
        errorAnswer(429, "RATE_LIMIT_EXCEEDED", "slow down", headers as Record<string, string>),
      );
      const error = await failureOf(client().listWebhooks());
      if (error instanceof RateLimitError) seconds.push(error.retryAfter);
    }
    expect(seconds).toEqual([7, 9, 60]);
  });
});

describe("answers that are not the API's", () => {
  test("a page instead of JSON says to check baseUrl, and a 404 page is no NotFoundError", async () => {
    for (const status of [200, 404]) {
      answerWith(() => new Response("<html>", { status, headers: { "content-type": "text/html" } }));
      const error = await failureOf(client().getWebhook(ID));
      expect(fieldsOf(error)).toEqual({
        name: "IndigiArmorError",
        code: "INVALID_RESPONSE",
        status,
        requestId: null,
      });
      expect(error.message).toContain("check baseUrl");
    }
  });

  test("JSON of another shape is an invalid response", async () => {
    for (const body of [{}, [], null, "webhooks"]) {
      answerWith(() => json(body));
      expect((await failureOf(client().listWebhooks())).code).toBe("INVALID_RESPONSE");
    }
  });

  test("a proxy's 502 is unavailability", async () => {
    answerWith(() => new Response("Bad Gateway", { status: 502 }));
    const error = await failureOf(client().listWebhooks());
    expect([error.code, error.status]).toEqual(["SERVICE_UNAVAILABLE", 502]);
  });

  test("a redirect is not followed", async () => {
    answerWith(() => Response.redirect(`${api.url}/elsewhere`, 301));
    const error = await failureOf(client().createWebhook({ url: WEBHOOK.url }));
    expect([error.code, error.status]).toEqual(["UNEXPECTED_REDIRECT", 301]);
    expect(api.seen).toHaveLength(1);
  });
});

describe("no answer at all", () => {
  test("a refused connection says where it tried to connect", async () => {
    await api.server.stop(true);
    const error = await failureOf(client().listWebhooks());
    expect(fieldsOf(error)).toEqual({
      name: "IndigiArmorError",
      code: "NETWORK_ERROR",
      status: null,
      requestId: null,
    });
    expect(error.message).toContain(api.url);
    expect(error.cause).toBeInstanceOf(Error);
  });

  test("a slow answer is given up after the timeout", async () => {
    answerWith(() => Bun.sleep(2000).then(() => json({ webhooks: [] })));
    const error = await failureOf(client({ timeout: 50 }).listWebhooks());
    expect(error.code).toBe("TIMEOUT");
    expect(error.message).toContain("50 ms");
  });

  test("the timeout covers a body that does not end", async () => {
    const endless = new ReadableStream({ pull: () => Bun.sleep(2000), start: (c) => c.enqueue("{") });
    answerWith(() => new Response(endless));
    expect((await failureOf(client({ timeout: 100 }).listWebhooks())).code).toBe("TIMEOUT");
  });
});

describe("options and arguments", () => {
  test("baseUrl may have a path and trailing slashes", async () => {
    api.answers.set("GET /armor/v1/webhooks", () => json({ webhooks: [] }));
    expect(await client({ baseUrl: `${api.url}/armor//` }).listWebhooks()).toEqual([]);
  });

  test("a fetch of the caller's own is used, and the default address is the daemon's", async () => {
    const urls: string[] = [];
    const fetchStub = async (url: string) => {
      urls.push(url);
      return json({ webhooks: [] });
    };
    await new IndigiArmor(KEY, { fetch: fetchStub }).listWebhooks();
    expect(urls).toEqual(["http://127.0.0.1:8787/v1/webhooks"]);
  });

  test("ids are encoded and cannot reach another route", async () => {
    await failureOf(client().deleteWebhook("../keys?x#y"));
    expect(api.seen.map((request) => request.line)).toEqual(["DELETE /v1/webhooks/..%2Fkeys%3Fx%23y"]);
    for (const id of ["", ".", ".."]) {
      expect(await failureOf(client().deleteWebhook(id))).toBeInstanceOf(ValidationError);
    }
    expect(api.seen).toHaveLength(1);
  });

  test("options that cannot work are refused at once", () => {
    const bad: [string, IndigiArmorOptions][] = [
      ["", {}],
      ["ia_sk_\u0000", {}],
      [KEY, { baseUrl: "localhost:8787" }],
      [KEY, { baseUrl: "http://user:pass@localhost" }],
      [KEY, { timeout: 0 }],
      [KEY, { timeout: Number.NaN }],
    ];
    for (const [key, options] of bad) expect(() => new IndigiArmor(key, options)).toThrow(IndigiArmorError);
  });

  test("the key is in no message and not in the printed client", async () => {
    answerWith(() => errorAnswer(400, "VALIDATION_ERROR", `authorization was Bearer ${KEY}`));
    expect((await failureOf(client().listWebhooks())).message).toBe("authorization was Bearer [key]");
    expect(Bun.inspect(client())).not.toContain(KEY);
    expect(() => new IndigiArmor(`${KEY}\u0007`)).toThrow(/^(?!.*0123456789abcdef)/);
  });

  test("a line break around the key, as from a file, is dropped", async () => {
    answerWith(() => json({ webhooks: [] }));
    await new IndigiArmor(`${KEY}\n`, { baseUrl: api.url }).listWebhooks();
    expect(api.seen[0]?.authorization).toBe(`Bearer ${KEY}`);
  });
});

describe("events, statistics and the stream", () => {
  test("ask what they say, and answer what comes", async () => {
    const page = { events: [{ id: "e-1" }], next_cursor: null };
    api.answers.set("GET /v1/events?tier=red&external_id=scan+1&limit=2", () => json(page));
    expect(await client().listEvents({ tier: "red", external_id: "scan 1", limit: 2, cursor: null })).toEqual(
      page as never,
    );
    const detail = { event: { id: "e/1" }, deliveries: [DELIVERY] };
    api.answers.set("GET /v1/events/e%2F1", () => json(detail));
    expect(await client().getEvent("e/1")).toEqual(detail as never);
    const statistics = { from: "a", to: "b", step_seconds: 60, webhooks: [] };
    api.answers.set(`GET /v1/stats?webhook_id=${ID}&minutes=5`, () => json(statistics));
    expect(await client().getStatistics({ webhook_id: ID, minutes: 5 })).toEqual(statistics);
    expect(client().getEvent("..")).rejects.toBeInstanceOf(ValidationError);
  });

  /** A stream that comes in these parts. */
  const streamOf = (...parts: string[]) =>
    new Response(
      new ReadableStream({
        async start(controller) {
          for (const part of parts) {
            controller.enqueue(new TextEncoder().encode(part));
            await Bun.sleep(5);
          }
          controller.close();
        },
      }),
      { headers: { "content-type": "text/event-stream" } },
    );

  test("a stream is read in whatever parts it comes, heartbeats and unknown names passed over", async () => {
    api.answers.set("GET /v1/stream", () =>
      streamOf(
        ": heartbeat\n\nevent: mis",
        'sed\ndata: {"count":2}\n',
        "\nevent: new\ndata: {}\n\nevent: webhook\n",
        'data: {"id":"w"}\n\n',
      ),
    );
    const outcomes = [];
    for await (const outcome of client().stream()) outcomes.push(outcome);
    expect(outcomes).toEqual([
      { type: "missed", data: { count: 2 } },
      { type: "webhook", data: { id: "w" } } as never,
    ]);
  });

  test("a stream that is refused throws, one that is aborted ends", async () => {
    api.answers.set("GET /v1/stream", () => errorAnswer(401, "AUTHENTICATION_ERROR", "no"));
    expect(client().stream().next()).rejects.toBeInstanceOf(AuthenticationError);
    api.answers.set(
      "GET /v1/stream",
      () => new Response(new ReadableStream({ start: (c) => c.enqueue(new Uint8Array([58, 10, 10])) })),
    );
    const controller = new AbortController();
    const next = client().stream({ signal: controller.signal }).next();
    setTimeout(() => controller.abort(), 20);
    expect(await next).toEqual({ done: true, value: undefined });
  });
});
