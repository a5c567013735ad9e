import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import {
  connectScanner,
  LOOPBACK,
  type RunningDaemon,
  removeDir,
  request,
  runCommand,
  scan,
  startDaemon,
  until,
} from "../support/daemon.ts";
import { peakMemory } from "../support/proc.ts";
import { exchange, parseAnswers, type RawAnswer } from "../support/raw-http.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { newKey, newTenant, type Tenant } from "../support/tenants.ts";

const CANARY = "canary-8f3a";
const NOBODY = "00000000-0000-4000-8000-000000000000";

let daemon: RunningDaemon;
let receiver: Receiver;
let victim: Tenant;
let attacker: Tenant;
let port: number;
/** What belongs to the victim. */
let webhookId: string;
let deliveryId: string;

beforeAll(async () => {
  receiver = startReceiver();
  daemon = await startDaemon({ args: LOOPBACK });
  port = Number(new URL(daemon.url).port);
  [victim, attacker] = await Promise.all([newTenant(daemon, "victim"), newTenant(daemon, "attacker")]);
  const made = await victim.api("POST", "/v1/webhooks", { url: receiver.url });
  webhookId = made.body.webhook.id;
  const scanner = await connectScanner(daemon.socket);
  await scanner.send(scan({ organization_id: victim.organizationId }));
  scanner.close();
  const path = `/v1/webhooks/${webhookId}/deliveries?status=delivered`;
  await until("it is delivered", async () => {
    deliveryId = (await victim.api("GET", path)).body.deliveries[0]?.id;
    return deliveryId !== undefined;
  });
});

afterAll(async () => {
  await daemon?.stop();
  await receiver?.stop();
  if (daemon) removeDir(daemon.dir);
});

/** Every route that names something, with a body that it takes. */
const ROUTES: [string, string, "webhook" | "delivery", object | null][] = [
  ["GET", "/v1/webhooks/:id", "webhook", null],
  ["PUT", "/v1/webhooks/:id", "webhook", { enabled: false }],
  ["PATCH", "/v1/webhooks/:id", "webhook", { url: "https://example.com/stolen" }],
  ["POST", "/v1/webhooks/:id/test", "webhook", null],
  ["POST", "/v1/webhooks/:id/rotate-secret", "webhook", { overlap_seconds: 0 }],
  ["GET", "/v1/webhooks/:id/deliveries", "webhook", null],
  ["GET", "/v1/webhooks/:id/deliveries?status=failed&limit=1", "webhook", null],
  ["POST", "/v1/webhooks/:id/recover", "webhook", { since: "2026-01-01T00:00:00Z" }],
  ["DELETE", "/v1/webhooks/:id", "webhook", null],
  ["GET", "/v1/deliveries/:id", "delivery", null],
  ["POST", "/v1/deliveries/:id/retry", "delivery", null],
];

/** Everything of an answer that its caller could compare, without what differs from request to request. */
async function fingerprint(key: string, method: string, path: string, body: object | null = null) {
  const answer = await fetch(daemon.url + path, {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body && { "content-type": "application/json" }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = (await answer.text()).replace(/req_[0-9a-f]{24}/, "req_…");
  const headers = [...answer.headers].filter(([name]) => !/^(x-request-id|x-ratelimit-.*|date)$/.test(name));
  return { status: answer.status, headers, text };
}

describe("another organization's", () => {
  test.each(ROUTES)(
    "%s %s answers exactly as for an id that never existed",
    async (method, path, kind, body) => {
      const theirs = kind === "webhook" ? webhookId : deliveryId;
      const ask = (id: string) => fingerprint(attacker.key, method, path.replace(":id", id), body);
      const answers = await Promise.all([ask(theirs), ask(NOBODY), ask(neighbourOf(theirs))]);
      expect(answers[0]).toMatchObject({ status: 404, text: expect.stringContaining('"NOT_FOUND"') });
      expect(answers[1]).toEqual(answers[0] as (typeof answers)[0]);
      expect(answers[2]).toEqual(answers[0] as (typeof answers)[0]);
    },
  );

  test("webhooks and deliveries are as they were after all of that", async () => {
    const { body } = await victim.api("GET", `/v1/webhooks/${webhookId}`);
    expect(body.webhook).toMatchObject({ url: receiver.url, enabled: true });
    expect((await victim.api("GET", `/v1/deliveries/${deliveryId}`)).body.delivery.attempts).toHaveLength(1);
    expect(receiver.received).toHaveLength(1);
  });

  test("webhooks are not in the list, and their events reach nobody else", async () => {
    expect((await attacker.api("GET", "/v1/webhooks")).body).toEqual({ webhooks: [] });
  });

  test("deleted webhook looks the same to everybody, its owner included", async () => {
    const { body } = await victim.api("POST", "/v1/webhooks", { url: receiver.url });
    const path = `/v1/webhooks/${body.webhook.id}`;
    await victim.api("DELETE", path);
    const [theirs, own] = await Promise.all(
      [attacker, victim].map(({ key }) => fingerprint(key, "GET", path)),
    );
    expect(own).toEqual(theirs as NonNullable<typeof theirs>);
  });
});

/** An id like this one that was never given out. */
function neighbourOf(id: string): string {
  const digit = id[17] === "a" ? "b" : "a";
  return `${id.slice(0, 17)}${digit}${id.slice(18)}`;
}

describe("a key that does not hold", () => {
  const refused = async (key: string): Promise<RawAnswer["body"]> => {
    const answer = await fetch(`${daemon.url}/v1/webhooks`, { headers: { authorization: `Bearer ${key}` } });
    expect(answer.status).toBe(401);
    expect(answer.headers.get("www-authenticate")).toBe("Bearer");
    return (await answer.text()).replace(/req_[0-9a-f]{24}/, "");
  };

  test("is refused with the same words, whether it is revoked, expired or never was", async () => {
    const revoked = await newKey(daemon, attacker.organizationId);
    const expiresAt = new Date(Date.now() + 3_000).toISOString();
    const expired = await newKey(daemon, attacker.organizationId, ["--expires-at", expiresAt]);
    expect((await revoked.api("GET", "/v1/webhooks")).status).toBe(200);
    await runCommand(["key", "revoke", revoked.keyId, "--data-dir", daemon.dataDir]);
    const words = await refused(revoked.key);
    expect(words).toContain("the API key is unknown, disabled or expired");
    await until("it has expired", () => Date.now() > Date.parse(expiresAt));
    expect(await refused(expired.key)).toBe(words);
    expect(await refused(`ia_sk_${"0".repeat(48)}`)).toBe(words);
    expect(await refused(attacker.key.slice(0, -1))).toBe(words);
    expect(await refused(attacker.key.toUpperCase())).toBe(words);
    expect(await refused(`${attacker.key}' OR '1'='1`.replaceAll(" ", ""))).toBe(words);
  }, 15_000);

  test.each<[string, Record<string, string>]>([
    ["no header", {}],
    ["another scheme", { authorization: "Basic aWFfc2s6" }],
    ["the key alone", { authorization: "ia_sk_" }],
    ["an empty one", { authorization: "Bearer " }],
    ["one in another header", { "x-api-key": "ia_sk_" }],
  ])("is asked for when there is %s", async (_what, headers) => {
    const answer = await fetch(`${daemon.url}/v1/webhooks`, { headers });
    expect(answer.status).toBe(401);
    expect(await answer.json()).toMatchObject({ error: { code: "AUTHENTICATION_ERROR" } });
  });

  test("is no key in the query either", async () => {
    expect((await fetch(`${daemon.url}/v1/webhooks?key=${attacker.key}`)).status).toBe(401);
  });
});

describe("a plan without webhookAlerts", () => {
  test("is told the feature and its plan on every route, within a second of the change", async () => {
    const tenant = await newTenant(daemon, "poor", "enterprise");
    const { body } = await tenant.api("POST", "/v1/webhooks", { url: receiver.url });
    await runCommand(["org", "update", tenant.organizationId, "--plan", "pro", "--data-dir", daemon.dataDir]);
    for (const [method, path, , sent] of [...ROUTES, ["GET", "/v1/webhooks", "webhook", null] as const]) {
      const answer = await tenant.api(method, path.replace(":id", body.webhook.id), sent ?? undefined);
      expect(answer.status).toBe(403);
      expect(answer.body.error.code).toBe("FEATURE_NOT_AVAILABLE");
      expect(answer.body.error.message).toContain("webhookAlerts");
      expect(answer.body.error.message).toContain("plan pro;");
    }
    const scanner = await connectScanner(daemon.socket);
    const event = scan({ organization_id: tenant.organizationId });
    await until("its events go nowhere", async () => (await scanner.send(event))[0]?.deliveries === 0, 2_000);
    scanner.close();
  });
});

describe("the rate limit", () => {
  test("is counted in headers and ends in 429 with retry-after, for that key only", async () => {
    const limited = await newKey(daemon, attacker.organizationId, ["--rate-limit", "3"]);
    const left: (string | null)[] = [];
    for (let i = 0; i < 3; i += 1) {
      const { status, headers } = await limited.api(
        "GET",
        i === 1 ? `/v1/webhooks/${NOBODY}` : "/v1/webhooks",
      );
      expect([200, 404]).toContain(status);
      expect(headers.get("x-ratelimit-limit")).toBe("3");
      expect(Number(headers.get("x-ratelimit-reset"))).toBeWithin(1, 61);
      left.push(headers.get("x-ratelimit-remaining"));
    }
    expect(left).toEqual(["2", "1", "0"]);
    const { status, headers, body } = await limited.api("POST", "/v1/webhooks", { url: receiver.url });
    expect(status).toBe(429);
    expect(body.error.code).toBe("RATE_LIMIT_EXCEEDED");
    expect(Number(headers.get("retry-after"))).toBeWithin(1, 61);
    expect(headers.get("x-ratelimit-remaining")).toBe("0");
    expect((await attacker.api("GET", "/v1/webhooks")).body).toEqual({ webhooks: [] });
  });
});

describe("a body", () => {
  const url = "https://example.com/";
  const bodies: [string, string, number, string][] = [
    ["of nothing", "", 400, "url is required"],
    ["that is no JSON", `{"url":"${CANARY}`, 400, "the body must be valid JSON in UTF-8"],
    ["that is an array", `["${CANARY}"]`, 400, "the body must be a JSON object"],
    ["that is a string", `"${CANARY}"`, 400, "the body must be a JSON object"],
    ["that is null", "null", 400, "the body must be a JSON object"],
    ["nested 30,000 deep", "[".repeat(30_000) + "]".repeat(30_000), 400, "the body must be"],
    [
      "nested 5,000 deep in a field",
      `{"url":${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}}`,
      400,
      "the body must not be nested deeper than 16 levels",
    ],
    [
      "with 2,500 unknown fields",
      JSON.stringify({
        url,
        ...Object.fromEntries(Array.from({ length: 2_500 }, (_, i) => [`f${i}`, CANARY])),
      }),
      400,
      "unknown fields f0, f1, f2",
    ],
    ["with an unknown field", `{"url":"${url}","enabled":"${CANARY}"}`, 400, "unknown field enabled"],
    ["with an unknown field of an odd name", `{"url":"${url}","<${CANARY}>":1}`, 400, "unknown field"],
    [
      "with __proto__",
      `{"url":"${url}","__proto__":{"events":["red_tier"]}}`,
      400,
      "unknown field __proto__",
    ],
    ["with constructor", `{"url":"${url}","constructor":1}`, 400, "unknown field constructor"],
    [
      "with 30,000 events",
      `{"url":"${url}","events":[${Array(30_000).fill(1).join(",")}]}`,
      400,
      "events must be",
    ],
    ["with an event that is none", `{"url":"${url}","events":["${CANARY}"]}`, 400, "events must be"],
    ["with no event", `{"url":"${url}","events":[]}`, 400, "events must be"],
    ["with events of null", `{"url":"${url}","events":null}`, 400, "events must be"],
    ["with a format that is none", `{"url":"${url}","format":"${CANARY}"}`, 400, "format must be one of"],
    ["with a url of a wrong type", `{"url":{"a":"${CANARY}"}}`, 400, "url must be a string"],
    [
      "with a url of 60,000 characters",
      `{"url":"${url}${"a".repeat(60_000)}"}`,
      400,
      "url must be a string of 1 to 2048 characters",
    ],
    [
      "with a line break in the url",
      `{"url":"${url}${CANARY}\\r\\nx: y"}`,
      400,
      "url must not contain spaces or control characters",
    ],
    [
      "with NUL in the url",
      `{"url":"${url}${CANARY}\\u0000"}`,
      400,
      "url must not contain spaces or control characters",
    ],
    [
      "with a lone surrogate in the url",
      `{"url":"${url}${CANARY}\\ud800"}`,
      400,
      "url must not contain spaces or control characters",
    ],
    [
      "with a password in the url",
      `{"url":"https://user:${CANARY}@example.com/"}`,
      400,
      "url must not contain a user name or password",
    ],
    [
      "with a script as url",
      `{"url":"javascript:alert('${CANARY}')"}`,
      400,
      "url must be an http or https URL",
    ],
    [
      "with a private url",
      `{"url":"https://10.0.0.1/${CANARY}"}`,
      400,
      "url must not point to a private, local or reserved address",
    ],
    [
      "of 64 KiB and a byte",
      `{"url":"${CANARY}${"a".repeat(65_536)}"}`,
      413,
      "the body must not be larger than 64 KiB",
    ],
  ];
  test.each(bodies)(
    "%s is refused, changes nothing and is not echoed",
    async (_name, sent, status, words) => {
      const started = performance.now();
      const answer = await attacker.api("POST", "/v1/webhooks", sent);
      expect(answer).toMatchObject({ status, body: { error: { message: expect.stringContaining(words) } } });
      expect(JSON.stringify(answer.body)).not.toContain(CANARY);
      expect(performance.now() - started).toBeLessThan(1_000);
      expect((await attacker.api("GET", "/v1/webhooks")).body).toEqual({ webhooks: [] });
    },
  );

  test("with bytes that are no UTF-8 is refused", async () => {
    const answer = await fetch(`${daemon.url}/v1/webhooks`, {
      method: "POST",
      headers: { authorization: `Bearer ${attacker.key}`, "content-type": "application/json" },
      body: Buffer.concat([
        Buffer.from('{"url":"https://example.com/'),
        Buffer.from([0xff]),
        Buffer.from('"}'),
      ]),
    });
    expect(answer.status).toBe(400);
    expect(await answer.text()).toContain("valid JSON in UTF-8");
  });

  test.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "application/jsonp",
    "",
  ])("of type %j is refused", async (type) => {
    const answer = await fetch(`${daemon.url}/v1/webhooks`, {
      method: "POST",
      headers: { authorization: `Bearer ${attacker.key}`, "content-type": type },
      body: new TextEncoder().encode(`{"url":"${CANARY}"}`),
    });
    expect(answer.status).toBe(415);
    expect(await answer.json()).toMatchObject({ error: { code: "UNSUPPORTED_MEDIA_TYPE" } });
  });

  test("of unstated length is counted while it is read", async () => {
    const chunk = `10000\r\n${"a".repeat(0x10000)}\r\n`;
    const [answer] = await send(
      `POST /v1/webhooks HTTP/1.1\r\n${HEAD()}transfer-encoding: chunked\r\n\r\n${chunk}${chunk}0\r\n\r\n`,
    );
    expect(answer).toMatchObject({ status: 413, body: expect.stringContaining("PAYLOAD_TOO_LARGE") });
  });

  test("of megabytes is refused before it is read; without the envelope, as documented", async () => {
    const [answer] = await send(
      `POST /v1/webhooks HTTP/1.1\r\n${HEAD()}content-length: 20000000\r\n\r\n${"a".repeat(100_000)}`,
    );
    expect(answer?.status).toBe(413);
    const document = await (await fetch(`${daemon.url}/swagger/json`)).text();
    expect(document).toContain("over 1 MiB (413)");
    expect(document).toContain("(431)");
  });
});

const HEAD = () =>
  `host: localhost\r\nauthorization: Bearer ${attacker.key}\r\ncontent-type: application/json\r\n`;

async function send(bytes: string | Buffer): Promise<RawAnswer[]> {
  return parseAnswers(await exchange(port, bytes));
}

describe("a request whose end is ambiguous", () => {
  /** What would be answered 200 if the server took it for a second request. */
  const smuggled = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
  const cases: [string, string][] = [
    [
      "two lengths that differ",
      `content-length: 2\r\ncontent-length: ${2 + smuggled.length}\r\n\r\n{}${smuggled}`,
    ],
    ["a length and chunks", `content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ["chunks and a length", `transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n${smuggled}`],
    ["a coding that is none", `transfer-encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`],
    [
      "a coding written twice",
      `transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    ["a coding with a tab", `transfer-encoding:\tchunked\x0b\r\n\r\n0\r\n\r\n${smuggled}`],
    ["a negative length", `content-length: -2\r\n\r\n{}${smuggled}`],
    ["a signed length", `content-length: +2\r\n\r\n{}${smuggled}`],
    ["a length in hex", `content-length: 0x2\r\n\r\n{}${smuggled}`],
    ["a length and a word", `content-length: 2 3\r\n\r\n{}${smuggled}`],
    ["a length beyond all numbers", `content-length: 99999999999999999999\r\n\r\n{}${smuggled}`],
    ["a blank before the colon", `content-length : 2\r\n\r\n{}${smuggled}`],
    ["a folded header", `x: a\r\n content-length: 2\r\n\r\n{}${smuggled}`],
    ["a chunk size that is none", `transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n${smuggled}`],
  ];
  test.each(cases)("with %s is refused, and nothing after it is taken for another", async (_name, rest) => {
    const answers = await send(`POST /v1/webhooks HTTP/1.1\r\n${HEAD()}${rest}`);
    expect(answers).toHaveLength(1);
    for (const { status } of answers) expect(status).toBeWithin(400, 500);
  });
});

describe("a request head", () => {
  test.each<[string, string, number]>([
    [
      "a header of 100 kB",
      `GET /health HTTP/1.1\r\nhost: localhost\r\nx: ${"a".repeat(100_000)}\r\n\r\n`,
      431,
    ],
    ["5,000 headers", `GET /health HTTP/1.1\r\nhost: localhost\r\n${"x: y\r\n".repeat(5_000)}\r\n`, 431],
    ["a path of 100 kB", `GET /${"a".repeat(100_000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`, 431],
    ["NUL in a header", "GET /health HTTP/1.1\r\nhost: localhost\r\nx: a\0b\r\n\r\n", 400],
    ["no host", "GET /health HTTP/1.1\r\n\r\n", 400],
    ["a host that is none", "GET /v1/webhooks HTTP/1.1\r\nhost: [\r\n\r\n", 400],
    ["a host with a path", "GET /v1/webhooks HTTP/1.1\r\nhost: a/health?\r\n\r\n", 400],
    ["a host with a user", "GET /v1/webhooks HTTP/1.1\r\nhost: a:b@c\r\n\r\n", 400],
    ["an empty host", "GET /v1/webhooks HTTP/1.1\r\nhost: \r\n\r\n", 400],
    ["another protocol", "GET /health SPDY/3\r\nhost: localhost\r\n\r\n", 505],
  ])("with %s is refused", async (_name, head, status) => {
    const [answer] = await send(head);
    expect(answer?.status).toBe(status);
  });

  test("of garbage does no harm", async () => {
    for (const bytes of [Buffer.from([0, 1, 2, 255, 13, 10, 13, 10]), Buffer.alloc(50_000, 0x16)]) {
      const answers = await send(bytes);
      for (const { status } of answers) expect(status).toBeWithin(400, 506);
    }
    expect((await fetch(`${daemon.url}/health`)).status).toBe(200);
  });

  test.each([
    "/swagger/../v1/webhooks",
    "/swagger/%2e%2e/v1/webhooks",
    "/health/../v1/webhooks",
    "//v1/webhooks",
    "/v1//webhooks",
    "/V1/webhooks",
    "/v1%2fwebhooks",
    "/v1/webhooks%00",
    "/v1/webhooks;x=1",
    "/./v1/./webhooks",
    "http://other.example.com/v1/webhooks",
  ])("for %s gets nothing without a key", async (path) => {
    const [answer] = await send(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    expect([400, 401, 404]).toContain(answer?.status as number);
  });
});

describe("a slow client", () => {
  const held: Socket[] = [];
  const hold = (bytes: string): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect({ host: "127.0.0.1", port }, () => socket.write(bytes, () => resolve()));
      socket.on("error", () => {});
      held.push(socket);
    });
  afterAll(() => {
    for (const socket of held) socket.destroy();
  });

  test("that never ends its head or body, 500 times over, leaves others as quick as before", async () => {
    await Promise.all(Array.from({ length: 250 }, () => hold("GET /v1/webhooks HTTP/1.1\r\nhost: lo")));
    await Promise.all(
      Array.from({ length: 250 }, () =>
        hold(`POST /v1/webhooks HTTP/1.1\r\n${HEAD()}content-length: 60\r\n\r\n{"url":`),
      ),
    );
    for (const socket of held) socket.write("c");
    for (let i = 0; i < 10; i += 1) {
      const started = performance.now();
      expect((await attacker.api("GET", "/v1/webhooks")).status).toBe(200);
      expect(performance.now() - started).toBeLessThan(1_000);
    }
  });
});

describe("every answer", () => {
  const ANSWERS: [string, string, string, number, string | null][] = [
    ["a list", "GET", "/v1/webhooks", 200, null],
    ["no such webhook", "GET", `/v1/webhooks/${NOBODY}`, 404, "NOT_FOUND"],
    ["no such route", "GET", "/v2/webhooks", 404, "NOT_FOUND"],
    ["no such route below /v1", "GET", "/v1/webhook", 404, "NOT_FOUND"],
    ["the root, which leads to the page", "GET", "/", 200, null],
    ["another method", "DELETE", "/v1/webhooks", 405, "METHOD_NOT_ALLOWED"],
    ["another method on an open route", "POST", "/health", 405, "METHOD_NOT_ALLOWED"],
    ["a wrong query", "GET", `/v1/webhooks/${NOBODY}/deliveries?limit=0`, 400, "VALIDATION_ERROR"],
    ["health", "GET", "/health", 200, null],
    ["metrics", "GET", "/metrics", 200, null],
    ["the page", "GET", "/swagger", 200, null],
    ["the document", "GET", "/swagger/json", 200, null],
    ["a script", "GET", "/swagger/swagger-ui-bundle.js", 200, null],
  ];
  test.each(ANSWERS)(
    "carries a request id and security headers: %s",
    async (_name, method, path, status, code) => {
      const answer = await request(daemon.url, attacker.key, method, path);
      expect(answer.status).toBe(status);
      const { headers } = answer;
      expect(headers.get("x-request-id")).toMatch(/^req_[0-9a-f]{24}$/);
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("x-frame-options")).toBe("DENY");
      expect(headers.get("referrer-policy")).toBe("no-referrer");
      expect(headers.get("content-security-policy")).toContain("default-src 'none'");
      expect(headers.get("server")).toBeNull();
      if (code === null) return;
      expect(answer.body).toEqual({
        error: { code, message: expect.any(String), request_id: headers.get("x-request-id") },
      });
      expect(headers.get("content-type")).toStartWith("application/json");
    },
  );

  test("of a known path asked another way says which ways it takes", async () => {
    expect((await attacker.api("DELETE", "/v1/webhooks")).headers.get("allow")).toBe("GET, HEAD, POST");
    const one = await attacker.api("POST", `/v1/webhooks/${NOBODY}`, {});
    expect(one.headers.get("allow")?.split(", ").sort()).toEqual(["DELETE", "GET", "HEAD", "PATCH", "PUT"]);
  });

  test("with a secret must not be stored, others may", async () => {
    const made = await attacker.api("POST", "/v1/webhooks", { url: receiver.url });
    const path = `/v1/webhooks/${made.body.webhook.id}`;
    const rotated = await attacker.api("POST", `${path}/rotate-secret`, {});
    for (const { headers, body } of [made, rotated]) {
      expect(headers.get("cache-control")).toBe("no-store");
      expect(body.webhook.secret).toMatch(/^[0-9a-f]{64}$/);
    }
    expect((await attacker.api("GET", path)).body.webhook).not.toHaveProperty("secret");
    await attacker.api("DELETE", path);
  });

  test("that is the Swagger page lets scripts and requests come from this host only", async () => {
    const { headers, body } = await request(daemon.url, "", "GET", "/swagger");
    const policy = new Map(
      (headers.get("content-security-policy") ?? "").split("; ").map((rule) => {
        const [name = "", ...sources] = rule.split(" ");
        return [name, sources.join(" ")];
      }),
    );
    expect(policy.get("default-src")).toBe("'none'");
    expect(policy.get("script-src")).toBe("'self'");
    expect(policy.get("connect-src")).toBe("'self'");
    expect(policy.get("frame-ancestors")).toBe("'none'");
    expect(policy.get("base-uri")).toBe("'none'");
    expect(policy.get("form-action")).toBe("'none'");
    expect([...policy.values()].join(" ")).not.toMatch(/https?:|\*|unsafe-eval/);
    expect(body).not.toMatch(/<script>|\son\w+=|https?:\/\//);
  });
});

test("none of it was a fault of ours, or cost more than 250 MB", () => {
  expect(daemon.log.filter(({ level }) => level === "error")).toEqual([]);
  expect(peakMemory(daemon.pid)).toBeLessThan(250);
});
