import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Command } from "commander";
import { IndigiArmor } from "../../src/client/index.ts";
import { serveOptions } from "../../src/config/options.ts";
import { toConfig } from "../../src/config/resolve.ts";
import { createDaemon } from "../../src/daemon.ts";
import {
  connectScanner,
  LOOPBACK,
  newDir,
  type RunningDaemon,
  removeDir,
  runCommand,
  scan,
  startDaemon,
  until,
} from "../support/daemon.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { SEED_TYPESCRIPT } from "../support/seed-examples.ts";
import { silentLogger } from "../support/silent-logger.ts";
import { newKey, newTenant, type Tenant } from "../support/tenants.ts";

const SLACK = "https://hooks.slack.com/services/T.../B.../xxx";
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const ISO = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

/** As it is by default: https targets only. */
let daemon: RunningDaemon;
/** With loopback receivers, three attempts and no wait between them. */
let local: RunningDaemon;
let tenant: Tenant;
let localTenant: Tenant;
let receiver: Receiver;

beforeAll(async () => {
  receiver = startReceiver();
  const quick = ["--retry-attempts", "3", "--retry-min-delay", "1ms", "--retry-jitter", "false"];
  [daemon, local] = await Promise.all([
    startDaemon(),
    startDaemon({ args: [...LOOPBACK, ...quick, "--request-timeout", "500ms"] }),
  ]);
  tenant = await newTenant(daemon, "acme");
  localTenant = await newKey(local, local.organizationId);
});

afterAll(async () => {
  for (const running of [daemon, local]) {
    await running?.stop();
    if (running) removeDir(running.dir);
  }
  await receiver?.stop();
});

async function create(body: object, by: Tenant = tenant) {
  const answer = await by.api("POST", "/v1/webhooks", body);
  expect(answer.status).toBe(201);
  return answer.body.webhook;
}

const get = async (id: string, by: Tenant = tenant) =>
  (await by.api("GET", `/v1/webhooks/${id}`)).body.webhook;

describe("registering a webhook", () => {
  test("answers with every documented field, the documented defaults, and the secret", async () => {
    const { status, headers, body } = await tenant.api("POST", "/v1/webhooks", { url: SLACK });
    expect(status).toBe(201);
    expect(headers.get("content-type")).toStartWith("application/json");
    expect(headers.get("cache-control")).toBe("no-store");
    expect(body).toEqual({
      webhook: {
        id: expect.stringMatching(UUID),
        url: SLACK,
        events: ["red_tier"],
        format: "json",
        enabled: true,
        failure_count: 0,
        last_triggered_at: null,
        created_at: expect.stringMatching(ISO),
        secret: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    });
    expect(Object.keys(body.webhook)).toEqual(
      "id url events format enabled failure_count last_triggered_at created_at secret".split(" "),
    );
    expect(Math.abs(Date.parse(body.webhook.created_at) - Date.now())).toBeLessThan(10_000);
  });

  test.each<[string, object, object]>([
    [
      "all events in the order given",
      { events: ["green_tier", "red_tier", "yellow_tier"] },
      { events: ["green_tier", "red_tier", "yellow_tier"] },
    ],
    [
      "repeated events once",
      { events: ["red_tier", "green_tier", "red_tier"] },
      { events: ["red_tier", "green_tier"] },
    ],
    ["the format json", { format: "json" }, { format: "json" }],
    [
      "a port, path and query",
      { url: "https://example.com:8443/a/b?c=d&e=%20" },
      { url: "https://example.com:8443/a/b?c=d&e=%20" },
    ],
    [
      "a url of 2048 characters",
      { url: `https://example.com/${"a".repeat(2028)}` },
      { url: `https://example.com/${"a".repeat(2028)}` },
    ],
    ["a public address", { url: "https://93.184.216.34/" }, { url: "https://93.184.216.34/" }],
  ])("keeps %s", async (_what, fields, shown) => {
    const { secret: _secret, ...webhook } = await create({ url: SLACK, ...fields });
    expect(webhook).toMatchObject(shown);
    expect(await get(webhook.id)).toEqual(webhook);
  });

  test.each<[string, unknown, string]>([
    ["no url", { events: ["red_tier"] }, "url is required"],
    ["an empty url", { url: "" }, "url must be a string of 1 to 2048 characters"],
    [
      "a url of 2049 characters",
      { url: `https://example.com/${"a".repeat(2029)}` },
      "url must be a string of 1 to 2048 characters",
    ],
    ["a url that is none", { url: "hooks.slack.com/services" }, "url must be an absolute https URL"],
    ["a relative url", { url: "/services" }, "url must be an absolute https URL"],
    ["http", { url: "http://example.com/" }, "url must be an https URL"],
    ["ftp", { url: "ftp://example.com/" }, "url must be an https URL"],
    ["a user", { url: "https://user@example.com/" }, "url must not contain a user name or password"],
    ["a fragment", { url: "https://example.com/#a" }, "url must not have a fragment (#)"],
    [
      "port 0",
      { url: "https://example.com:0/hook" },
      "url must not have port 0, to which nobody can connect",
    ],
    ["an empty fragment", { url: "https://example.com/#" }, "url must not have a fragment (#)"],
    [
      "localhost",
      { url: "https://localhost/" },
      "url must not point to a private, local or reserved address",
    ],
    [
      "localhost with a dot",
      { url: "https://localhost./" },
      "url must not point to a private, local or reserved address",
    ],
    [
      "a name below localhost",
      { url: "https://a.localhost/" },
      "url must not point to a private, local or reserved address",
    ],
    [
      "a number for 127.0.0.1",
      { url: "https://2130706433/" },
      "url must not point to a private, local or reserved address",
    ],
    [
      "the metadata address",
      { url: "https://169.254.169.254/latest" },
      "url must not point to a private, local or reserved address",
    ],
    [
      "IPv6 loopback",
      { url: "https://[::1]/" },
      "url must not point to a private, local or reserved address",
    ],
    [
      "no events",
      { url: SLACK, events: [] },
      "events must be a non-empty list of red_tier, yellow_tier, green_tier",
    ],
    [
      "an unknown event",
      { url: SLACK, events: ["red_tier", "blue_tier"] },
      "events must be a non-empty list of red_tier, yellow_tier, green_tier",
    ],
    [
      "events that are text",
      { url: SLACK, events: "red_tier" },
      "events must be a non-empty list of red_tier, yellow_tier, green_tier",
    ],
    [
      "a format that is none",
      { url: SLACK, format: "xml" },
      "format must be one of json, slack, teams, discord, pagerduty",
    ],
    ["enabled", { url: SLACK, enabled: false }, "unknown field enabled"],
    ["a secret", { url: SLACK, secret: "mine" }, "unknown field secret"],
    ["more that it does not know", { url: SLACK, foo: 1, bar: 2 }, "unknown fields foo, bar"],
    ["names that are not harmless", { url: SLACK, "<b>": 1, bar: 2 }, "unknown fields bar and others"],
    ...[
      "https:a.example.com",
      "https:/a.example.com",
      "https:\\\\a.example.com\\x",
      "https:///a.example.com",
    ].map((url): [string, object, string] => [
      url,
      { url },
      "url must be an absolute https URL: https://, a host, and a path",
    ]),
    [
      "an empty user name",
      { url: "https://@a.example.com/" },
      "url must not contain a user name or password",
    ],
  ])("refuses %s and registers nothing", async (_what, body, message) => {
    const before = (await tenant.api("GET", "/v1/webhooks")).body;
    const answer = await tenant.api("POST", "/v1/webhooks", body);
    expect(answer.status).toBe(400);
    expect(answer.body.error).toMatchObject({ code: "VALIDATION_ERROR", message });
    expect((await tenant.api("GET", "/v1/webhooks")).body).toEqual(before);
  });

  test("takes any number of repeated events, and no field where none is taken", async () => {
    const events = Array.from({ length: 300 }, (_, i) => (i % 2 === 0 ? "red_tier" : "green_tier"));
    const { id, events: kept } = await create({ url: SLACK, events });
    expect(kept).toEqual(["red_tier", "green_tier"]);
    const answer = await tenant.api("POST", `/v1/webhooks/${id}/test`, { dry_run: true });
    expect([answer.status, answer.body.error.message]).toEqual([400, "unknown field dry_run"]);
  });

  test("finds nothing under an id with NUL in it", async () => {
    for (const method of ["GET", "DELETE"]) {
      expect((await tenant.api(method, "/v1/webhooks/a%00b")).status).toBe(404);
    }
  });

  test("gives each webhook a secret and an id of its own", async () => {
    const made = await Promise.all([create({ url: SLACK }), create({ url: SLACK })]);
    expect(new Set(made.flatMap(({ id, secret }) => [id, secret])).size).toBe(4);
  });
});

test("the list shows the newest first, each with its documented fields and without its secret", async () => {
  const other = await newTenant(daemon, "lister");
  const made = [];
  for (const tier of ["red_tier", "yellow_tier", "green_tier"])
    made.push(await create({ url: SLACK, events: [tier] }, other));
  const { status, body } = await other.api("GET", "/v1/webhooks");
  expect(status).toBe(200);
  expect(body).toEqual({ webhooks: made.reverse().map(({ secret: _secret, ...webhook }) => webhook) });
});

describe.each(["PUT", "PATCH"])("updating a webhook with %s", (method) => {
  test.each<[object, object?]>([
    [{ url: "https://example.com/new" }],
    [{ events: ["green_tier", "green_tier"] }, { events: ["green_tier"] }],
    [{ format: "slack" }],
    [{ enabled: false }],
    [{}],
    [{ url: "https://example.com/a", events: ["yellow_tier"], format: "discord", enabled: false }],
  ])("changes only what is given: %j", async (...[changes, shown = changes]) => {
    const { secret: _secret, ...before } = await create({
      url: SLACK,
      events: ["red_tier", "yellow_tier"],
      format: "teams",
    });
    const answer = await tenant.api(method, `/v1/webhooks/${before.id}`, changes);
    expect(answer).toMatchObject({ status: 200, body: { webhook: { ...before, ...shown } } });
    expect(answer.body).toEqual({ webhook: { ...before, ...shown } });
    expect(await get(before.id)).toEqual(answer.body.webhook);
  });

  test.each<[object, string]>([
    [{ url: "http://example.com/" }, "url must be an https URL"],
    [{ url: null }, "url must be a string of 1 to 2048 characters"],
    [{ events: [] }, "events must be a non-empty list of red_tier, yellow_tier, green_tier"],
    [{ format: null }, "format must be one of json, slack, teams, discord, pagerduty"],
    [{ enabled: "false" }, "enabled must be true or false"],
    [{ enabled: 0 }, "enabled must be true or false"],
    [{ failure_count: 0 }, "unknown field failure_count"],
    [{ id: "x" }, "unknown field id"],
    [
      { events: ["green_tier"], url: "https://127.0.0.1/" },
      "url must not point to a private, local or reserved address",
    ],
    [
      { format: "pagerduty" },
      "url must have one routing_key query parameter of 32 characters for the format pagerduty",
    ],
  ])("refuses %j and changes nothing", async (changes, message) => {
    const { secret: _secret, ...before } = await create({ url: SLACK });
    const answer = await tenant.api(method, `/v1/webhooks/${before.id}`, changes);
    expect(answer).toMatchObject({ status: 400, body: { error: { code: "VALIDATION_ERROR", message } } });
    expect(await get(before.id)).toEqual(before);
  });

  test("enabling a disabled webhook forgives its failures; enabling an enabled one does not", async () => {
    const failing = startReceiver(() => new Response("no", { status: 500 }));
    const { id } = await create({ url: failing.url }, localTenant);
    const scanner = await connectScanner(local.socket);
    await scanner.send(scan());
    await until("it is disabled", async () => !(await get(id, localTenant)).enabled);
    expect(await get(id, localTenant)).toMatchObject({
      failure_count: 3,
      last_triggered_at: expect.stringMatching(ISO),
    });
    await localTenant.api(method, `/v1/webhooks/${id}`, { events: ["red_tier"] });
    expect(await get(id, localTenant)).toMatchObject({ enabled: false, failure_count: 3 });
    const { body } = await localTenant.api(method, `/v1/webhooks/${id}`, { enabled: true });
    expect(body.webhook).toMatchObject({ enabled: true, failure_count: 0 });
    failing.answer = async () => {
      await Bun.sleep(150);
      return new Response("no", { status: 500 });
    };
    await scanner.send(scan());
    await until("it has failed once", async () => (await get(id, localTenant)).failure_count === 1);
    await localTenant.api(method, `/v1/webhooks/${id}`, { enabled: true });
    expect((await get(id, localTenant)).failure_count).toBeGreaterThan(0);
    await localTenant.api("DELETE", `/v1/webhooks/${id}`);
    scanner.close();
    await failing.stop();
  });
});

test("removing a webhook says so once, and it is gone", async () => {
  const { id } = await create({ url: SLACK });
  expect(await tenant.api("DELETE", `/v1/webhooks/${id}`)).toMatchObject({
    status: 200,
    body: { deleted: true },
  });
  for (const method of ["GET", "DELETE"]) {
    const { status, body } = await tenant.api(method, `/v1/webhooks/${id}`);
    expect(status).toBe(404);
    expect(body.error).toMatchObject({ code: "NOT_FOUND", message: "no such webhook" });
  }
});

describe("testing a webhook", () => {
  const outcome = async (url: string, by: Tenant = localTenant) => {
    const { id } = await create({ url }, by);
    const before = await get(id, by);
    const answer = await by.api("POST", `/v1/webhooks/${id}/test`);
    expect(answer.status).toBe(200);
    expect(await get(id, by)).toEqual(before);
    await by.api("DELETE", `/v1/webhooks/${id}`);
    return answer.body;
  };

  test("sends the documented payload, signed, and answers the status", async () => {
    const before = receiver.received.length;
    expect(await outcome(receiver.url)).toEqual({ success: true, status: 200 });
    const { body, headers } = receiver.received[before] as (typeof receiver.received)[number];
    const { timestamp, ...payload } = JSON.parse(body);
    expect(payload).toEqual({
      event: "test",
      tier: "green",
      action: "allow",
      risk_score: 0,
      signals: [],
      latency_ms: 0,
    });
    expect(timestamp).toMatch(ISO);
    expect(headers).toMatchObject({
      "content-type": "application/json",
      "webhook-signature": expect.stringMatching(/^v1,/),
    });
  });

  test.each<[string, () => Response | Promise<Response>, object]>([
    [
      "answers 500",
      () => new Response("no", { status: 500 }),
      { success: false, status: 500, error: "Endpoint responded with status 500" },
    ],
    [
      "answers 410",
      () => new Response("no", { status: 410 }),
      { success: false, status: 410, error: "Endpoint responded with status 410" },
    ],
    [
      "redirects",
      () => Response.redirect("https://example.com/"),
      { success: false, status: 302, error: "Endpoint responded with status 302" },
    ],
    ["answers 204", () => new Response(null, { status: 204 }), { success: true, status: 204 }],
    [
      "takes too long",
      () => Bun.sleep(2_000).then(() => new Response("ok")),
      { success: false, error: "Connection failed or timed out" },
    ],
  ])("of a receiver that %s says so", async (_what, answer, result) => {
    const other = startReceiver(answer);
    expect(await outcome(other.url)).toEqual(result);
    await other.stop();
  });

  test("of a target where nobody listens says so", async () => {
    expect(await outcome("http://127.0.0.1:1/")).toEqual({
      success: false,
      error: "Connection failed or timed out",
    });
  });

  test("of a disabled webhook works, and leaves it disabled", async () => {
    const { id } = await create({ url: receiver.url }, localTenant);
    await localTenant.api("PATCH", `/v1/webhooks/${id}`, { enabled: false });
    expect((await localTenant.api("POST", `/v1/webhooks/${id}/test`)).body).toEqual({
      success: true,
      status: 200,
    });
    expect(await get(id, localTenant)).toMatchObject({ enabled: false, last_triggered_at: null });
    await localTenant.api("DELETE", `/v1/webhooks/${id}`);
  });
});

// The curl example of the API document, unchanged.
const SEED_CURL = `curl -X POST https://indigiarmor.com/v1/webhooks \\
-H "Authorization: Bearer ia_sk_..." \\
-H "Content-Type: application/json" \\
-d '{"url": "https://hooks.slack.com/services/T.../B.../xxx", "events": ["red_tier"]}'`;

describe("the examples of the API document", () => {
  test("in TypeScript run as they are, with the client", async () => {
    const { armor, stop } = await withoutNames();
    const printed: unknown[][] = [];
    const run = new Function("armor", "console", `return (async () => {${SEED_TYPESCRIPT}})()`);
    await run(armor, { log: (...values: unknown[]) => printed.push(values) });
    expect(printed).toEqual([
      ["Secret:", expect.stringMatching(/^[0-9a-f]{64}$/)],
      ["Reachable:", false],
    ]);
    expect(await armor.listWebhooks()).toEqual([]);
    await stop();
  });

  test("in curl runs with nothing but host and key changed", async () => {
    const seeder = await newTenant(daemon, "curl");
    const command = SEED_CURL.replace("https://indigiarmor.com", daemon.url).replace("ia_sk_...", seeder.key);
    const made = Bun.which("curl") ? await shell(`${command} -sS --noproxy '*'`) : await asFetch(command);
    expect(made.webhook).toMatchObject({ url: SLACK, events: ["red_tier"], format: "json" });
    expect((await seeder.api("GET", "/v1/webhooks")).body.webhooks).toHaveLength(1);
  });

  /** A daemon whose name server says of every name, Slack's too, that it is this machine: nothing leaves it. */
  async function withoutNames() {
    const dir = newDir();
    const command = new Command();
    for (const option of serveOptions()) command.addOption(option);
    const config = toConfig(command.parse(["--data-dir", dir, "--port", "0"], { from: "user" }).opts(), {
      environment: {},
    });
    const seeded = await createDaemon({ config, log: silentLogger, resolve: async () => ["127.0.0.1"] });
    const { organizations, apiKeys } = seeded.store;
    const { id } = await organizations.create({ name: "seed", plan: "professional" });
    const input = {
      organizationId: id,
      name: "seed",
      rateLimitPerMinute: 60,
      expiresAt: null,
    };
    const { rawKey } = await apiKeys.create(input);
    const armor = new IndigiArmor(rawKey, { baseUrl: (await seeded.start()).url });
    const stop = async (): Promise<void> => {
      await seeded.stop();
      removeDir(dir);
    };
    return { armor, stop };
  }

  async function shell(command: string) {
    const child = Bun.spawn(["sh", "-c", command], { stdout: "pipe", stderr: "inherit" });
    return JSON.parse(await new Response(child.stdout).text());
  }

  /** What curl would do, where it is not installed. */
  async function asFetch(command: string) {
    const [, method = "", url = ""] = /-X (\w+) (\S+)/.exec(command) ?? [];
    const headers = [...command.matchAll(/-H "([^:]+): ([^"]+)"/g)].map(
      ([, name, value]) => [name, value] as [string, string],
    );
    const body = /-d '([^']+)'/.exec(command)?.[1] as string;
    return (await fetch(url, { method, headers, body })).json();
  }
});

test("there are at most as many webhooks per organization as --max-webhooks says", async () => {
  const small = await startDaemon({ args: ["--max-webhooks", "2"] });
  for (const status of [201, 201, 400]) {
    expect((await small.api("POST", "/v1/webhooks", { url: SLACK })).status).toBe(status);
  }
  const { body } = await small.api("GET", "/v1/webhooks");
  await small.api("DELETE", `/v1/webhooks/${body.webhooks[0].id}`);
  expect((await small.api("POST", "/v1/webhooks", { url: SLACK })).status).toBe(201);
  await small.stop();
  removeDir(small.dir);
});

test("a revoked key stops working while the daemon runs", async () => {
  const passing = await newKey(daemon, tenant.organizationId);
  expect((await passing.api("GET", "/v1/webhooks")).status).toBe(200);
  expect((await runCommand(["key", "revoke", passing.keyId, "--data-dir", daemon.dataDir])).code).toBe(0);
  expect((await passing.api("GET", "/v1/webhooks")).status).toBe(401);
});
