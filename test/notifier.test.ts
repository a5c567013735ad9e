import { afterEach, beforeEach, expect, test } from "bun:test";
import { Webhook } from "standardwebhooks";
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
} from "./support/daemon.ts";
import { type Receiver, startReceiver } from "./support/receiver.ts";

let dir: string;
let operator: Receiver;
let receiver: Receiver;
let daemon: RunningDaemon;

beforeEach(() => {
  dir = newDir();
  operator = startReceiver();
  receiver = startReceiver(() => new Response("no", { status: 500 }));
});
afterEach(async () => {
  await daemon.stop();
  await Promise.all([operator.stop(), receiver.stop()]);
  removeDir(dir);
});

async function start(...args: string[]): Promise<void> {
  const retries = ["--retry-min-delay", "5ms", "--retry-factor", "1", "--retry-jitter", "false"];
  daemon = await startDaemon({
    dir,
    args: [...LOOPBACK, "--notify-url", `${operator.url}?token=x`, ...retries, ...args],
    ...(daemon && { key: daemon.key, organizationId: daemon.organizationId }),
  });
}

async function newWebhook(): Promise<string> {
  return (await daemon.api("POST", "/v1/webhooks", { url: `${receiver.url}/secret-path` })).body.webhook.id;
}

async function send(count = 1): Promise<void> {
  const scanner = await connectScanner(daemon.socket);
  await scanner.send(...Array.from({ length: count }, () => scan()));
  scanner.close();
}

function notices(): { type: string; timestamp: string; data: Record<string, unknown> }[] {
  return operator.received.map(({ body }) => JSON.parse(body));
}

function types(): string[] {
  return notices().map(({ type }) => type);
}

test("ten failures in a row are told once, and so is the recovery", async () => {
  await start("--retry-attempts", "100");
  const id = await newWebhook();
  await send();
  await until("it failed more than ten times", () => receiver.received.length >= 15);
  await until("the operator was told", () => operator.received.length >= 1);
  receiver.answer = () => new Response("ok");
  await until("the operator was told of the recovery", () => operator.received.length >= 2);
  await send(3);
  await until("all came", () => receiver.received.length >= 19);
  expect(notices()).toStrictEqual([
    {
      type: "webhook.failing",
      timestamp: expect.stringMatching(/Z$/),
      data: { webhook_id: id, organization_id: daemon.organizationId, host: "127.0.0.1", failure_count: 10 },
    },
    {
      type: "webhook.recovered",
      timestamp: expect.stringMatching(/Z$/),
      data: {
        webhook_id: id,
        organization_id: daemon.organizationId,
        host: "127.0.0.1",
        failure_count: expect.any(Number),
      },
    },
  ]);
  expect(operator.received.some(({ body }) => body.includes("secret-path"))).toBe(false);
  expect(operator.received[0]?.path).toBe("/hook?token=x");
});

test("nine failures and a success are nobody's business", async () => {
  await start("--retry-attempts", "100");
  receiver.answer = () => new Response("", { status: receiver.received.length < 10 ? 500 : 200 });
  await newWebhook();
  await send();
  await until("the tenth attempt succeeded", () => receiver.received.length === 10);
  await Bun.sleep(200);
  expect(types()).toEqual([]);
});

test("a webhook that is disabled is told once, and when it works again too", async () => {
  await start("--retry-attempts", "3");
  const id = await newWebhook();
  await send();
  await until("the operator was told", () => operator.received.length === 1);
  expect(notices()[0]).toMatchObject({
    type: "webhook.disabled",
    data: { webhook_id: id, organization_id: daemon.organizationId, reason: "attempts_exhausted" },
  });
  receiver.answer = () => new Response("ok");
  await daemon.api("PATCH", `/v1/webhooks/${id}`, { enabled: true });
  await send(2);
  await until("both came", () => receiver.received.length === 5);
  await until("the operator was told", () => operator.received.length === 2);
  expect(types()).toEqual(["webhook.disabled", "webhook.recovered"]);
});

test("a webhook that was disabled before a restart is told of when it works again", async () => {
  await start("--retry-attempts", "3");
  const id = await newWebhook();
  await send();
  await until("the operator was told", () => operator.received.length === 1);
  await daemon.stop();
  await start("--retry-attempts", "3");
  receiver.answer = () => new Response("ok");
  await daemon.api("PATCH", `/v1/webhooks/${id}`, { enabled: true });
  await send();
  await until("the operator was told", () => operator.received.length === 2);
  expect(types()).toEqual(["webhook.disabled", "webhook.recovered"]);
});

test("after a restart a webhook that is still failing is not told again, and its recovery is", async () => {
  await start("--retry-attempts", "1000", "--retry-min-delay", "20ms");
  await newWebhook();
  await send();
  await until("the operator was told", () => types().includes("webhook.failing"));
  await daemon.stop();
  const before = receiver.received.length;
  await start("--retry-attempts", "1000", "--retry-min-delay", "20ms");
  await until("it fails on", () => receiver.received.length >= before + 5);
  expect(types()).toEqual(["webhook.failing"]);
  receiver.answer = () => new Response("ok");
  await until("the operator was told", () => operator.received.length === 2);
  expect(types()).toEqual(["webhook.failing", "webhook.recovered"]);
});

test("notices are signed: the secret of notify-secret verifies them with any Standard Webhooks library", async () => {
  await start("--retry-attempts", "1");
  await newWebhook();
  await send();
  await until("the operator was told", () => operator.received.length === 1);
  const { stdout } = await runCommand(["notify-secret", "--data-dir", daemon.dataDir]);
  const { body, headers } = operator.received[0] as (typeof operator.received)[number];
  expect(new Webhook(stdout.trim()).verify(body, headers)).toEqual(JSON.parse(body));
  expect(headers["user-agent"]).toMatch(/^armorhooks\//);
  expect(() => new Webhook("00".repeat(32)).verify(body, headers)).toThrow();
});

test("a notice that fails is tried again, and is no failure to tell of", async () => {
  operator.answer = () => new Response("", { status: operator.received.length === 1 ? 500 : 200 });
  await start("--retry-attempts", "1");
  await newWebhook();
  await send();
  await until("the notice came twice", () => operator.received.length === 2, 9_000);
  expect(types()).toEqual(["webhook.disabled", "webhook.disabled"]);
  expect(operator.received[1]?.headers["webhook-id"]).toBe(
    operator.received[0]?.headers["webhook-id"] as string,
  );
  const metrics = await (await fetch(`${daemon.url}/metrics`)).text();
  expect(metrics).toContain('armorhooks_attempts_total{outcome="http_status"} 1\n');
}, 12_000);
