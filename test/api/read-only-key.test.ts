import { afterAll, beforeAll, expect, test } from "bun:test";
import { type RunningDaemon, removeDir, request, runCommand, startDaemon } from "../support/daemon.ts";

const URL_WITH_PATH = "https://hooks.slack.com:8443/services/T1/B1/secret?token=1";

let daemon: RunningDaemon;
let reader: string;
let webhookId: string;

const run = (...args: string[]) => runCommand([...args, "--data-dir", daemon.dataDir]);

beforeAll(async () => {
  daemon = await startDaemon();
  webhookId = (await daemon.api("POST", "/v1/webhooks", { url: URL_WITH_PATH })).body.webhook.id;
  const { stdout } = await run(
    "key",
    "create",
    "--org",
    daemon.organizationId,
    "--read-only",
    "--name",
    "page",
    "--json",
  );
  const made = JSON.parse(stdout);
  expect(made.key).toMatchObject({ name: "page", read_only: true });
  reader = made.raw_key;
});
afterAll(async () => {
  await daemon.stop();
  removeDir(daemon.dir);
});

const ask: RunningDaemon["api"] = (...args) => request(daemon.url, reader, ...args) as never;

test("a read-only key reads, and sees no more of URLs than where they lead", async () => {
  const list = await ask("GET", "/v1/webhooks");
  expect(list.status).toBe(200);
  expect(list.headers.get("x-key-access")).toBe("read");
  expect((await daemon.api("GET", "/v1/webhooks")).headers.has("x-key-access")).toBe(false);
  expect(list.body.webhooks[0].url).toBe("https://hooks.slack.com:8443");
  expect((await ask("GET", `/v1/webhooks/${webhookId}`)).body.webhook.url).toBe(
    "https://hooks.slack.com:8443",
  );
  expect((await ask("HEAD", "/v1/webhooks")).status).toBe(200);
  expect((await ask("GET", `/v1/webhooks/${webhookId}/deliveries`)).status).toBe(200);
  expect((await daemon.api("GET", "/v1/webhooks")).body.webhooks[0].url).toBe(URL_WITH_PATH);
});

test.each([
  ["POST", "/v1/webhooks", { url: "https://example.com/" }],
  ["PUT", "/v1/webhooks/:id", { enabled: false }],
  ["PATCH", "/v1/webhooks/:id", { enabled: false }],
  ["DELETE", "/v1/webhooks/:id", undefined],
  ["POST", "/v1/webhooks/:id/test", undefined],
  ["POST", "/v1/webhooks/:id/rotate-secret", undefined],
  ["POST", "/v1/webhooks/:id/recover", { since: "2026-01-15T10:00:00Z" }],
  ["POST", "/v1/deliveries/019bc0f6-5c00-7000-9d3a-52c8f1d7a460/retry", undefined],
] as const)("%s %s is refused to it, and changes nothing", async (method, path, body) => {
  const answer = await ask(method, path.replace(":id", webhookId), body);
  expect({ status: answer.status, code: answer.body.error.code }).toEqual({
    status: 403,
    code: "READ_ONLY_KEY",
  });
  expect(answer.headers.get("x-ratelimit-limit")).toBe("60");
  expect((await daemon.api("GET", "/v1/webhooks")).body.webhooks).toMatchObject([
    { id: webhookId, enabled: true },
  ]);
});

test("key list says what a key may do; other keys look as they did", async () => {
  const { keys } = JSON.parse((await run("key", "list", "--org", daemon.organizationId, "--json")).stdout);
  expect(keys.map((key: object) => "read_only" in key)).toEqual([false, true]);
  const { stdout } = await run("key", "list", "--org", daemon.organizationId);
  expect(stdout).toMatch(/bootstrap .* read, write /);
  expect(stdout).toMatch(/page .* read /);
});
