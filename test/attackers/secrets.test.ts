import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
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
import { newTenant, type Tenant } from "../support/tenants.ts";

/** Texts that are planted where each kind of secret would be. */
const PATH = "canary-path-4c1d";
const QUERY = "canary-query-77b0";
const PROMPT = "canary-prompt-91aa";
const SIGNAL = "canary-signal-5e2f";
const REFUSED = "canary-refused-d003";
const RESPONSE = "canary-response-2b6c";
const NOTICE = "canary-notice-a8e4";
const WRONG_KEY = `ia_sk_${"c0ffee".repeat(8)}`;

let daemon: RunningDaemon;
let tenant: Tenant;
let scanner: Scanner;
let healthy: Receiver;
let failing: Receiver;
let operator: Receiver;
/** Webhook secrets: the first one, its successor, the one of a deleted webhook. */
const secrets: string[] = [];
let noticeSecret: string;
let secretKey: string;
/** Every answer of the API, except those that give a secret out. */
const answers: string[] = [];
const acks: string[] = [];

async function ask(method: string, path: string, body?: unknown) {
  const answer = await tenant.api(method, path, body);
  const given = answer.body?.webhook?.secret;
  if (given) secrets.push(given);
  answers.push(JSON.stringify([...answer.headers]), given ? "" : JSON.stringify(answer.body));
  return answer;
}

async function tell(...lines: (object | string)[]): Promise<void> {
  acks.push(JSON.stringify(await scanner.send(...lines)));
}

beforeAll(async () => {
  healthy = startReceiver(() => new Response(RESPONSE));
  failing = startReceiver(() => new Response(RESPONSE, { status: 500, headers: { "x-canary": RESPONSE } }));
  operator = startReceiver();
  const quick = [
    "--retry-attempts",
    "12",
    "--retry-min-delay",
    "1ms",
    "--retry-factor",
    "1",
    "--retry-jitter",
    "false",
  ];
  const notify = ["--notify-url", `${operator.url}/${NOTICE}?token=${NOTICE}`];
  daemon = await startDaemon({ args: [...LOOPBACK, ...quick, ...notify, "--log-level", "debug"] });
  tenant = await newTenant(daemon, "tenant");
  scanner = await connectScanner(daemon.socket);
  secretKey = readFileSync(join(daemon.dataDir, "secret.key"), "utf8").trim();
  noticeSecret = (await runCommand(["notify-secret", "--data-dir", daemon.dataDir])).stdout.trim();
  await everythingHappens();
  await storeFails();
}, 30_000);

afterAll(async () => {
  scanner?.close();
  await daemon?.stop();
  await Promise.all([healthy, failing, operator].map((receiver) => receiver?.stop()));
  if (daemon) removeDir(daemon.dir);
});

const event = (fields: object = {}) =>
  scan({
    organization_id: tenant.organizationId,
    prompt: PROMPT,
    signals: [{ domain: "pii", type: SIGNAL, confidence: 1, weight: 1, matched_text: PROMPT }],
    ...fields,
  });

/** Deliveries that succeed and fail, disabling, rotation, deletion, refusals of all kinds. */
async function everythingHappens(): Promise<void> {
  const secretly = (url: string) => `${url}/${PATH}?token=${QUERY}`;
  const good = (await ask("POST", "/v1/webhooks", { url: secretly(healthy.url) })).body.webhook.id;
  const bad = (await ask("POST", "/v1/webhooks", { url: secretly(failing.url) })).body.webhook.id;
  const dead = (await ask("POST", "/v1/webhooks", { url: secretly("http://127.0.0.1:1") })).body.webhook.id;
  await tell(event(), event({ id: "one" }), event({ id: "one" }));
  await until("the failing ones are disabled", async () => {
    const { body } = await ask("GET", "/v1/webhooks");
    return body.webhooks.filter(({ enabled }: { enabled: boolean }) => !enabled).length === 2;
  });
  await ask("POST", `/v1/webhooks/${good}/rotate-secret`, {});
  for (const id of [good, bad, dead]) await ask("POST", `/v1/webhooks/${id}/test`);
  const { body } = await ask("GET", `/v1/webhooks/${good}/deliveries`);
  await ask("GET", `/v1/deliveries/${body.deliveries[0].id}`);
  await ask("POST", `/v1/deliveries/${body.deliveries[0].id}/retry`);
  await ask("PATCH", `/v1/webhooks/${bad}`, { events: ["green_tier"], enabled: true });
  await ask("DELETE", `/v1/webhooks/${dead}`);

  await ask("POST", "/v1/webhooks", { url: `https://10.0.0.1/${REFUSED}` });
  await ask("POST", "/v1/webhooks", { url: `ftp://${REFUSED}` });
  await ask("POST", "/v1/webhooks", { url: healthy.url, events: [REFUSED] });
  await ask("POST", "/v1/webhooks", `{"url":"${REFUSED}`);
  await ask("GET", `/v1/webhooks/${REFUSED}`);
  await ask("GET", `/v1/webhooks/${good}/deliveries?cursor=${REFUSED}&status=${REFUSED}`);
  await ask("GET", `/${REFUSED}?${REFUSED}`);
  const wrong = await fetch(`${daemon.url}/v1/webhooks`, {
    headers: { authorization: `Bearer ${WRONG_KEY}` },
  });
  answers.push(await wrong.text());
  await tell(
    `{"tier":"${REFUSED}`,
    event({ tier: REFUSED }),
    event({ action: REFUSED }),
    event({ timestamp: REFUSED }),
    event({ organization_id: REFUSED }),
    event({ signals: [{ domain: REFUSED, type: 1 }] }),
    `${REFUSED}${"x".repeat(300_000)}`,
  );
}

/** While another process holds the database, both doors must refuse, and say nothing of what was sent. */
async function storeFails(): Promise<void> {
  const lock = new Database(join(daemon.dataDir, "armorhooks.db"));
  lock.exec("BEGIN IMMEDIATE");
  const told = tell(event({ id: "while-locked" }));
  const asked = ask("POST", "/v1/webhooks", { url: `${healthy.url}/${REFUSED}` });
  await Promise.all([told, asked]);
  lock.exec("ROLLBACK");
  lock.close();
  expect(acks.at(-1)).toContain('"UNAVAILABLE"');
  expect(answers.at(-1)).toMatch(/INTERNAL_ERROR|UNAVAILABLE/);
  await until("it can write again", async () => (await fetch(`${daemon.url}/health`)).ok);
}

/** A secret in the forms in which it could be written down. */
function forms(secret: string): string[] {
  const bytes = Buffer.from(secret.replace(/^ia_sk_/, ""), "hex");
  return [
    secret,
    secret.toUpperCase(),
    bytes.toString("base64"),
    bytes.toString("latin1"),
    Buffer.from(secret).toString("base64"),
  ];
}

const keyMaterial = () => [...secrets, tenant.key, noticeSecret, secretKey, WRONG_KEY].flatMap(forms);
const urlParts = [PATH, QUERY];
const texts = [PROMPT, SIGNAL, REFUSED];

function expectNone(where: string, found: readonly string[]): void {
  expect(where.length).toBeGreaterThan(100);
  for (const canary of found) expect(where.includes(canary), `${canary} is there`).toBe(false);
}

/** Without the two lines that print the key of --bootstrap, as documented. */
function log(): string {
  return daemon.log
    .filter((line) => !("api_key" in line))
    .map((line) => JSON.stringify(line))
    .join("\n");
}

describe("after everything has happened", () => {
  test("the canaries were really used", () => {
    expect(secrets).toHaveLength(4);
    expect(healthy.received.some(({ path, body }) => path.includes(PATH) && body.includes(SIGNAL))).toBe(
      true,
    );
    expect(operator.received.map(({ body }) => JSON.parse(body).type)).toContain("webhook.disabled");
    expect(noticeSecret).toMatch(/^[0-9a-f]{64}$/);
    for (const outcome of ["attempt made", "delivery finished", "webhook disabled", "store cannot write"]) {
      expect(log()).toContain(`"msg":"${outcome}"`);
    }
  });

  test("no log line has a key, secret, URL path, payload, refused text or response", () => {
    expectNone(log(), [...keyMaterial(), ...urlParts, ...texts, RESPONSE, NOTICE, daemon.key]);
    expect(log()).toContain('"host":"127.0.0.1"');
  });

  test("no answer of the API has a secret or key but the one that gives it out, or repeats what it refused", () => {
    expectNone(answers.join("\n"), [...keyMaterial(), PROMPT, REFUSED, NOTICE]);
  });

  test("no ack has anything of the line", () => {
    expectNone(acks.join("\n"), [...keyMaterial(), ...texts, ...urlParts]);
  });

  test("the receivers never see a key, a secret or an undocumented field", () => {
    const received = JSON.stringify([healthy, failing, operator].map((receiver) => receiver.received));
    expectNone(received, [...keyMaterial(), PROMPT, REFUSED, WRONG_KEY]);
    expectNone(JSON.stringify(operator.received.map(({ body }) => body)), [...urlParts, SIGNAL, RESPONSE]);
  });

  test.each(["/metrics", "/swagger/json", "/swagger", "/health"])("%s has none of it", async (path) => {
    const text = `${await (await fetch(daemon.url + path)).text()}${" ".repeat(100)}`;
    const everything = [...keyMaterial(), ...urlParts, ...texts, RESPONSE, NOTICE, tenant.organizationId];
    expectNone(text, everything);
    expectNone(text, ["127.0.0.1"]);
  });
});

describe("at rest", () => {
  /** Everything that the daemon keeps, less the one file that holds the key. */
  const files = () => readdirSync(daemon.dataDir).filter((name) => !name.startsWith("secret.key"));
  const contents = () =>
    files()
      .filter((name) => statSync(join(daemon.dataDir, name)).isFile())
      .map((name) => readFileSync(join(daemon.dataDir, name), "latin1"))
      .join("\n");

  test("webhook secrets, API keys and prompts are nowhere in the database and its write-ahead log", () => {
    expect(files()).toContain("armorhooks.db-wal");
    expectNone(contents(), [...keyMaterial(), daemon.key, ...forms(daemon.key), PROMPT, REFUSED, NOTICE]);
  });

  test("URLs and payloads are there in clear, as documented", () => {
    expect(contents()).toContain(PATH);
    expect(contents()).toContain(SIGNAL);
  });

  test("a deleted webhook leaves no URL and no sealed secret in its row", async () => {
    const { body } = await ask("POST", "/v1/webhooks", { url: `${healthy.url}/to-be-deleted` });
    await ask("DELETE", `/v1/webhooks/${body.webhook.id}`);
    const database = new Database(join(daemon.dataDir, "armorhooks.db"), { readonly: true });
    const row = database
      .query("SELECT url, length(secret) AS n FROM webhooks WHERE uuid = ?")
      .get(body.webhook.id);
    database.close();
    expect(row).toEqual({ url: "", n: 0 });
  });

  test("only the owner can read any of it", () => {
    expect(statSync(daemon.dataDir).mode & 0o777).toBe(0o700);
    for (const name of ["armorhooks.db", "armorhooks.db-wal", "secret.key"]) {
      expect(statSync(join(daemon.dataDir, name)).mode & 0o777, name).toBe(0o600);
    }
    expect(statSync(daemon.socket).mode & 0o777).toBe(0o660);
  });

  test("what the command line shows of keys does not hold them", async () => {
    const { stdout } = await runCommand([
      "key",
      "list",
      "--org",
      tenant.organizationId,
      "--json",
      "--data-dir",
      daemon.dataDir,
    ]);
    expectNone(stdout, forms(tenant.key));
  });
});
