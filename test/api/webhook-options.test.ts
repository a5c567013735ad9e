import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  connectScanner,
  LOOPBACK,
  type RunningDaemon,
  removeDir,
  runCommand,
  type Scanner,
  scan,
  startDaemon,
  until,
} from "../support/daemon.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { newKey, type Tenant } from "../support/tenants.ts";

let daemon: RunningDaemon;
let tenant: Tenant;
let scanner: Scanner;
let receiver: Receiver;
let ids: string[] = [];

beforeAll(async () => {
  daemon = await startDaemon({ args: [...LOOPBACK, "--retry-attempts", "1"] });
  tenant = await newKey(daemon, daemon.organizationId);
  scanner = await connectScanner(daemon.socket);
});
afterAll(async () => {
  scanner.close();
  await daemon.stop();
  removeDir(daemon.dir);
});
afterEach(async () => {
  for (const id of ids) await tenant.api("DELETE", `/v1/webhooks/${id}`);
  ids = [];
  await receiver?.stop();
});

async function create(options: object = {}) {
  receiver = startReceiver();
  const { status, body } = await tenant.api("POST", "/v1/webhooks", { url: receiver.url, ...options });
  expect({ status, body }).toMatchObject({ status: 201 });
  ids.push(body.webhook.id);
  return body.webhook;
}

const read = async (id: string) => (await tenant.api("GET", `/v1/webhooks/${id}`)).body.webhook;
const update = (id: string, changes: object) => tenant.api("PATCH", `/v1/webhooks/${id}`, changes);

const ALL = {
  name: "security on call",
  filter: { min_risk_score: 50.5, actions: ["block", "flag"], domains: ["PII"] },
  rate_limit_per_minute: 600_000,
  format: "slack",
  group: false,
  headers: { authorization: "Bearer s3cr3t", "X-Team": "blue" },
};
const SHOWN = { ...ALL, headers: { authorization: "***", "X-Team": "***" } };

describe("the optional fields", () => {
  test("are taken by create and shown everywhere, header values hidden", async () => {
    const made = await create(ALL);
    expect(made).toMatchObject(SHOWN);
    expect(await read(made.id)).toMatchObject(SHOWN);
    expect((await tenant.api("GET", "/v1/webhooks")).body.webhooks).toMatchObject([SHOWN]);
  });

  test("do not appear when they were never set or are null", async () => {
    const documented = [
      "id",
      "url",
      "events",
      "format",
      "enabled",
      "failure_count",
      "last_triggered_at",
      "created_at",
    ];
    const plain = await create();
    expect(Object.keys(plain)).toEqual([...documented, "secret"]);
    const none = { name: null, filter: null, rate_limit_per_minute: null, group: null, headers: null };
    const nulls = await create(none);
    expect(Object.keys(nulls)).toEqual([...documented, "secret"]);
    const set = await create(ALL);
    const { status, body } = await update(set.id, none);
    expect(status).toBe(200);
    expect(Object.keys(body.webhook)).toEqual(documented);
    expect(Object.keys(await read(set.id))).toEqual(documented);
  });

  test("change alone, and the others stay", async () => {
    const { id } = await create(ALL);
    expect((await update(id, { name: "other" })).body.webhook).toMatchObject({ ...SHOWN, name: "other" });
    const filter = { actions: ["allow", "allow"], domains: ["a", "a", "A"] };
    const changed = (await update(id, { filter })).body.webhook;
    expect(changed).toMatchObject({ ...SHOWN, name: "other", filter: expect.anything() });
    expect(changed.filter).toEqual({ actions: ["allow"], domains: ["a", "A"] });
  });

  test.each<[object, string]>([
    [{ name: "" }, "name must be a string of 1 to 100 characters, none of them a control character, or null"],
    [
      { name: "x".repeat(101) },
      "name must be a string of 1 to 100 characters, none of them a control character, or null",
    ],
    [
      { name: "😀".repeat(101) },
      "name must be a string of 1 to 100 characters, none of them a control character, or null",
    ],
    [{ name: 1 }, "name must be a string of 1 to 100 characters, none of them a control character, or null"],
    [{ name: "a\nb" }, "none of them a control character"],
    [{ filter: "red" }, "filter must be an object"],
    [{ filter: [] }, "filter must be an object"],
    [{ filter: { score: 1 } }, "unknown field filter.score"],
    [{ filter: { min_risk_score: 101 } }, "filter.min_risk_score must be a number from 0 to 100"],
    [{ filter: { min_risk_score: null } }, "filter.min_risk_score must be a number from 0 to 100"],
    [{ filter: { actions: [] } }, "filter.actions must be a non-empty list of allow, flag, block"],
    [{ filter: { actions: ["deny"] } }, "filter.actions must be a non-empty list of allow, flag, block"],
    [{ filter: { domains: [] } }, "filter.domains must be a list of 1 to 50 strings"],
    [{ filter: { domains: Array(51).fill("a") } }, "filter.domains must be a list of 1 to 50 strings"],
    [{ filter: { domains: [1] } }, "filter.domains must be a list of 1 to 50 strings"],
    [{ rate_limit_per_minute: 0 }, "rate_limit_per_minute must be a whole number from 1 to 600000, or null"],
    [
      { rate_limit_per_minute: 600_001 },
      "rate_limit_per_minute must be a whole number from 1 to 600000, or null",
    ],
    [
      { rate_limit_per_minute: 1.5 },
      "rate_limit_per_minute must be a whole number from 1 to 600000, or null",
    ],
    [
      { rate_limit_per_minute: "60" },
      "rate_limit_per_minute must be a whole number from 1 to 600000, or null",
    ],
    [{ group: "no" }, "group must be true, false or null"],
    [{ group: true }, "group is for the formats slack, teams and discord only"],
    [{ headers: [] }, "headers must be an object of names and values"],
    [{ headers: { a: 1 } }, "headers must be an object of names and values"],
    [{ headers: { a: null } }, "headers must be an object of names and values"],
    [{ headers: { host: "b" } }, "headers must not set host"],
    [{ headers: { "x-a": "b\r\nc: d" } }, "headers.x-a must be printable ASCII"],
    [{ headers: { "x-a": "***" } }, 'headers.x-a is "***", which keeps a value that is there; there is none'],
    [
      { headers: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`x-${i}`, ""])) },
      "headers must have at most 16",
    ],
    [{ disabled_reason: "gone" }, "unknown field disabled_reason"],
  ])("of %j is refused by create and update alike, and changes nothing", async (options, message) => {
    const { id } = await create({ name: "kept" });
    const before = await read(id);
    for (const answer of [
      await update(id, options),
      await tenant.api("PUT", `/v1/webhooks/${id}`, options),
      await tenant.api("POST", "/v1/webhooks", { url: receiver.url, ...options }),
    ]) {
      expect(answer.status).toBe(400);
      expect(answer.body.error).toMatchObject({
        code: "VALIDATION_ERROR",
        message: expect.stringContaining(message),
      });
    }
    expect(await read(id)).toEqual(before);
    expect((await tenant.api("GET", "/v1/webhooks")).body.webhooks).toHaveLength(1);
  });

  test("may be at their limits", async () => {
    const options = {
      name: "😀".repeat(100),
      filter: { min_risk_score: 0, domains: Array.from({ length: 50 }, (_, i) => `d${i}`) },
      rate_limit_per_minute: 1,
    };
    expect(await create(options)).toMatchObject(options);
    expect(await create({ filter: {} })).toMatchObject({ filter: {} });
  });

  test("a format that groups nothing is refused while group is set", async () => {
    const { id } = await create({ format: "slack", group: true });
    const { status, body } = await update(id, { format: "json" });
    expect({ status, message: body.error.message }).toMatchObject({
      status: 400,
      message: expect.stringContaining("group is for"),
    });
    expect((await update(id, { format: "json", group: null })).body.webhook).not.toHaveProperty("group");
  });
});

describe("headers", () => {
  test("are sent with every request, test included, and their values are nowhere else", async () => {
    const { id } = await create({ headers: { authorization: "Bearer s3cr3t-v4lue", "X-Team": "blue" } });
    expect((await tenant.api("POST", `/v1/webhooks/${id}/test`)).body).toEqual({
      success: true,
      status: 200,
    });
    await scanner.send(scan());
    await until("both came", () => receiver.received.length === 2);
    for (const { headers } of receiver.received) {
      expect(headers).toMatchObject({ authorization: "Bearer s3cr3t-v4lue", "x-team": "blue" });
    }
    expect(JSON.stringify(daemon.log)).not.toContain("s3cr3t-v4lue");
    for (const file of ["armorhooks.db", "armorhooks.db-wal"]) {
      expect(readFileSync(join(daemon.dataDir, file)).includes("s3cr3t-v4lue")).toBe(false);
    }
    expect((await runCommand(["status", "--json", "--data-dir", daemon.dataDir])).stdout).not.toContain(
      "s3cr3t",
    );
  });

  test("keep a hidden value that comes back, and lose what is not named", async () => {
    const { id } = await create({ headers: { Authorization: "Bearer one", "x-old": "1" } });
    const { body } = await update(id, { headers: { authorization: "***", "x-new": "2" } });
    expect(body.webhook.headers).toEqual({ authorization: "***", "x-new": "***" });
    await scanner.send(scan());
    await until("it came", () => receiver.received.length === 1);
    expect(receiver.received[0]?.headers).toMatchObject({ authorization: "Bearer one", "x-new": "2" });
    expect(receiver.received[0]?.headers).not.toHaveProperty("x-old");
    expect((await update(id, { headers: {} })).body.webhook).not.toHaveProperty("headers");
  });
});

describe("a filter", () => {
  const low = scan({ risk_score: 10, action: "flag", signals: [] });

  test("decides who gets a delivery, and others get theirs", async () => {
    const all = await create();
    const unfiltered = receiver;
    await create({ filter: { min_risk_score: 50, domains: ["Pii"] } });
    const acks = await scanner.send(low, scan());
    expect(acks.map(({ deliveries }) => deliveries)).toEqual([1, 2]);
    await until("they came", () => receiver.received.length === 1 && unfiltered.received.length === 2);
    await update(all.id, { filter: { actions: ["allow"] } });
    expect((await scanner.send(scan()))[0]?.deliveries).toBe(1);
    await update(all.id, { filter: null });
    expect((await scanner.send(scan()))[0]?.deliveries).toBe(2);
    await unfiltered.stop();
  });

  test("is obeyed by recover", async () => {
    const since = new Date().toISOString();
    const { id } = await create({ filter: { min_risk_score: 50 } });
    await update(id, { enabled: false });
    await scanner.send(low, scan(), low, scan());
    await update(id, { enabled: true });
    const { body } = await tenant.api("POST", `/v1/webhooks/${id}/recover`, { since });
    expect(body).toEqual({ recovered: 2 });
    await until("they came", () => receiver.received.length === 2);
    await update(id, { filter: null });
    expect((await tenant.api("POST", `/v1/webhooks/${id}/recover`, { since })).body).toEqual({
      recovered: 2,
    });
  });
});

describe("a webhook that the daemon disabled", () => {
  test("says why, one that its owner turned off does not; its name is in the log and in status", async () => {
    const name = `${"?".repeat(40)} "on call"`;
    const { id } = await create({ name });
    receiver.answer = () => new Response("", { status: 410 });
    const [ack] = await scanner.send(scan());
    await until("it is disabled", async () => !(await read(id)).enabled);
    expect(await read(id)).toMatchObject({ name, disabled_reason: "gone" });
    for (const msg of ["attempt made", "delivery finished", "webhook disabled"]) {
      await until(`${msg} is logged`, () =>
        daemon.log.some((line) => line.msg === msg && line["webhook_id"] === id),
      );
      const line = daemon.log.find((one) => one.msg === msg && one["webhook_id"] === id);
      expect(line).toMatchObject({ webhook_name: name });
      if (msg !== "webhook disabled") expect(line).toMatchObject({ event_id: ack?.id as string });
    }
    const { stdout } = await runCommand(["status", "--json", "--data-dir", daemon.dataDir]);
    expect(JSON.parse(stdout).attention).toMatchObject([{ id, name }]);
    const enabled = (await update(id, { enabled: true })).body.webhook;
    expect(enabled).not.toHaveProperty("disabled_reason");
    expect((await update(id, { enabled: false })).body.webhook).not.toHaveProperty("disabled_reason");
  });
});
