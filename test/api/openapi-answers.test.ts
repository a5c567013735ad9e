import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import {
  connectScanner,
  LOOPBACK,
  type RunningDaemon,
  removeDir,
  runCommand,
  scan,
  startDaemon,
  until,
} from "../support/daemon.ts";
import { type Answer, answerOf, type MediaType, type OpenApi, valueFaults } from "../support/openapi.ts";
import { startReceiver } from "../support/receiver.ts";

const ERRORS = {
  400: "VALIDATION_ERROR",
  401: "AUTHENTICATION_ERROR",
  403: "FEATURE_NOT_AVAILABLE",
  404: "NOT_FOUND",
  405: "METHOD_NOT_ALLOWED",
  413: "PAYLOAD_TOO_LARGE",
  415: "UNSUPPORTED_MEDIA_TYPE",
  429: "RATE_LIMIT_EXCEEDED",
  503: "UNAVAILABLE",
} as const;

let document: OpenApi;
let daemon: RunningDaemon;
const started: RunningDaemon[] = [];

beforeAll(async () => {
  daemon = tracked(await startDaemon({ args: [...LOOPBACK] }));
  document = (await daemon.api("GET", "/swagger/json")).body;
});

afterAll(async () => {
  for (const one of started) {
    await one.stop();
    removeDir(one.dir);
  }
});

function tracked(running: RunningDaemon): RunningDaemon {
  started.push(running);
  return running;
}

describe("the daemon answers as the OpenAPI document says", () => {
  /** One request; its answer must be documented for that route: status, headers and body. */
  async function checked(route: string, path: string, body?: unknown) {
    const [method = ""] = route.split(" ");
    const answer = await daemon.api(method, path, body);
    const documented = answerOf(document, route, answer.status);
    for (const name of Object.keys(documented.headers))
      expect(answer.headers.get(name), `${route} ${name}`).not.toBeNull();
    const { schema } = Object.values(documented.content)[0] as MediaType;
    expect(valueFaults(document, schema, answer.body, `${route} ${answer.status}`)).toEqual([]);
    return answer;
  }

  test("on success, with every route", async () => {
    const receiver = startReceiver();
    const scanner = await connectScanner(daemon.socket);
    const made = await checked("POST /v1/webhooks", "/v1/webhooks", { url: receiver.url });
    const at = `/v1/webhooks/${made.body.webhook.id}`;
    await checked("GET /v1/webhooks/{id}", at);
    await checked("PUT /v1/webhooks/{id}", at, { events: ["red_tier", "green_tier"] });
    await checked("PATCH /v1/webhooks/{id}", at, { enabled: true });
    await checked("POST /v1/webhooks/{id}/test", `${at}/test`);

    await scanner.send(scan());
    let page = await checked("GET /v1/webhooks/{id}/deliveries", `${at}/deliveries`);
    await until("it is delivered", async () => {
      page = await checked("GET /v1/webhooks/{id}/deliveries", `${at}/deliveries?limit=1`);
      return page.body.deliveries[0].status === "delivered";
    });
    const delivery = `/v1/deliveries/${page.body.deliveries[0].id}`;
    expect((await checked("GET /v1/deliveries/{id}", delivery)).body.delivery.attempts).toHaveLength(1);
    await checked("POST /v1/deliveries/{id}/retry", `${delivery}/retry`);
    await checked("POST /v1/webhooks/{id}/recover", `${at}/recover`, { since: "2026-01-01T00:00:00Z" });
    await checked("POST /v1/webhooks/{id}/rotate-secret", `${at}/rotate-secret`, { overlap_seconds: 0 });
    await checked("GET /v1/webhooks", "/v1/webhooks");
    await checked("DELETE /v1/webhooks/{id}", at);
    await checked("GET /health", "/health");
    await checked("GET /metrics", "/metrics");
    scanner.close();
    await receiver.stop();
  });

  test("when a test request fails, in each of its ways", async () => {
    const receiver = startReceiver(() => new Response("no", { status: 500 }));
    const { content } = answerOf(document, "POST /v1/webhooks/{id}/test", 200);
    const { examples = {} } = content["application/json"] as MediaType;
    for (const [kind, url] of Object.entries({
      "not 2xx": receiver.url,
      unreachable: "http://127.0.0.1:1/",
    })) {
      const { body } = await daemon.api("POST", "/v1/webhooks", { url });
      const answer = await checked("POST /v1/webhooks/{id}/test", `/v1/webhooks/${body.webhook.id}/test`);
      expect(answer.body).toEqual(examples[kind]?.value);
    }
    const strict = await withoutLoopback();
    const { body } = await strict.api("GET", "/v1/webhooks");
    const refused = await strict.api("POST", `/v1/webhooks/${body.webhooks[0].id}/test`);
    expect(refused.body).toEqual(examples.refused?.value);
    await receiver.stop();
  });

  test("with each error of the contract, down to the message of the example", async () => {
    const { url, key, other, dataDir } = await withPlans();
    const path = "/v1/webhooks";
    const ours = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const send = (init: RequestInit, at = path) => fetch(url + at, { headers: ours, ...init });
    const provoked: Record<number, Response> = {
      400: await send({ method: "POST", body: '{"url":"http://example.com/"}' }),
      401: await send({ headers: { authorization: `Bearer ia_sk_${"0".repeat(48)}` } }),
      403: await send({ headers: { authorization: `Bearer ${other}` } }),
      404: await send({}, `${path}/0b3b3f4e-6f0a-4c53-9a2e-5d2d4d8f5c11`),
      405: await send({ method: "DELETE" }),
      413: await send({ method: "POST", body: " ".repeat(65 * 1024) }),
      415: await send({ method: "POST", body: "x", headers: { ...ours, "content-type": "text/plain" } }),
      503: await whileLocked(dataDir, () => send({ method: "POST", body: '{"url":"https://example.com/"}' })),
      429: await overLimit(send),
    };
    for (const [status, response] of Object.entries(provoked)) {
      const code = ERRORS[Number(status) as keyof typeof ERRORS];
      const { headers, content } = document.components.responses[code] as Answer;
      const { schema, example } = content["application/json"] as MediaType;
      expect(response.status).toBe(Number(status));
      for (const name of Object.keys(headers)) {
        expect(response.headers.get(name), `${status} ${name}`).not.toBeNull();
      }
      const body = await response.json();
      expect(valueFaults(document, schema, body, status)).toEqual([]);
      expect(withoutSeconds(body)).toEqual(withoutSeconds(example));
    }
  });

  /** A daemon whose only webhook was registered while loopback was allowed, which it no longer is. */
  async function withoutLoopback(): Promise<RunningDaemon> {
    const before = await startDaemon({ args: [...LOOPBACK] });
    expect((await before.api("POST", "/v1/webhooks", { url: "http://127.0.0.1:1/" })).status).toBe(201);
    await before.stop();
    return tracked(await startDaemon({ dir: before.dir, key: before.key, args: ["--allow-http"] }));
  }

  /** A daemon as it is by default, with one more key: of an organization on the plan pro. */
  async function withPlans(): Promise<{ url: string; key: string; other: string; dataDir: string }> {
    const { url, key, dataDir } = tracked(await startDaemon());
    const run = async (...args: string[]) =>
      JSON.parse((await runCommand([...args, "--data-dir", dataDir, "--json"])).stdout);
    const { organization } = await run("org", "create", "--name", "small", "--plan", "pro");
    const other = (await run("key", "create", "--org", organization.id)).raw_key;
    return { url, key, other, dataDir };
  }

  /** Does something while another program keeps everybody from writing to the database. */
  async function whileLocked(dataDir: string, act: () => Promise<Response>): Promise<Response> {
    using database = new Database(join(dataDir, "armorhooks.db"));
    database.run("BEGIN IMMEDIATE");
    return await act();
  }

  async function overLimit(send: (init: RequestInit) => Promise<Response>): Promise<Response> {
    for (let i = 0; i < 60; i += 1) {
      const response = await send({});
      if (response.status === 429) return response;
    }
    throw new Error("61 requests in a minute were all let through");
  }

  function withoutSeconds(body: unknown): { code: string; message: string } {
    const { code, message } = (body as { error: { code: string; message: string } }).error;
    return { code, message: message.replace(/in \d+ s$/, "in N s") };
  }
});
