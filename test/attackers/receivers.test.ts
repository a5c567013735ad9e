import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import {
  connectScanner,
  LOOPBACK,
  type RunningDaemon,
  runCommand,
  scan,
  startDaemon,
  until,
} from "../support/daemon.ts";
import { atEnd, cleanUp, emptyDir } from "../support/e2e.ts";
import { CANARY, HOSTILE, type Hostile, TERMINAL } from "../support/hostile-receivers.ts";
import { openDescriptors } from "../support/proc.ts";
import { type RawReceiver, startRawReceiver } from "../support/raw-receiver.ts";
import { newKey } from "../support/tenants.ts";

const TIMEOUT_MS = 1_000;
/** What a busy machine may add before a timer fires. */
const SLACK_MS = 500;
const ATTEMPTS = 2;

interface Judged {
  webhookId: string;
  receiver: RawReceiver;
  // biome-ignore lint/suspicious/noExplicitAny: what an answer of the API holds is what the tests check.
  delivery: any;
}

let daemon: RunningDaemon;
let memoryBefore = 0;
let memoryMost = 0;
let descriptorsBefore = 0;
const judged = new Map<string, Judged>();

function residentMiB(): number {
  const status = readFileSync(`/proc/${daemon.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

let api: RunningDaemon["api"];
let key: string;

beforeAll(async () => {
  const options = ["--request-timeout", `${TIMEOUT_MS}ms`, "--retry-attempts", `${ATTEMPTS}`];
  const retries = ["--retry-min-delay", "20ms", "--retry-max-delay", "100ms", "--retry-jitter", "false"];
  daemon = await startDaemon({ dir: emptyDir(), args: [...LOOPBACK, ...options, ...retries] });
  atEnd(() => daemon.stop("SIGKILL"));
  ({ api, key } = await newKey(daemon, daemon.organizationId));
  for (const hostile of HOSTILE) await register(hostile);
  memoryBefore = residentMiB();
  descriptorsBefore = openDescriptors(daemon.pid);
  const sampler = setInterval(() => (memoryMost = Math.max(memoryMost, residentMiB())), 20);
  await sendEvents(1);
  await until("each delivery has ended", () => finished() === HOSTILE.length, 15_000);
  clearInterval(sampler);
  for (const one of judged.values()) one.delivery = await firstDelivery(one.webhookId);
}, 30_000);

afterAll(cleanUp);

async function register(hostile: Hostile): Promise<void> {
  const receiver = await startRawReceiver({ onRequest: () => {}, ...hostile });
  atEnd(receiver.stop);
  const url = `${hostile.scheme ?? "http"}://127.0.0.1:${receiver.port}/hook`;
  const { status, body } = await api("POST", "/v1/webhooks", { url });
  expect(status).toBe(201);
  judged.set(hostile.name, { webhookId: body.webhook.id, receiver, delivery: null });
}

async function sendEvents(count: number): Promise<void> {
  const scanner = await connectScanner(daemon.socket);
  const acks = await scanner.send(...Array.from({ length: count }, () => scan()));
  expect(acks.every((ack) => ack.ok)).toBe(true);
  scanner.close();
}

const finished = () => daemon.log.filter(({ msg }) => msg === "delivery finished").length;

async function firstDelivery(webhookId: string) {
  const { body } = await api("GET", `/v1/webhooks/${webhookId}/deliveries`);
  return (await api("GET", `/v1/deliveries/${body.deliveries.at(-1).id}`)).body.delivery;
}

describe("an attempt is judged, and ends by its deadline, when the receiver", () => {
  test.each(HOSTILE.map((hostile) => [hostile.name, hostile] as const))(
    "%s",
    (name, { status, error, untilDeadline = false }) => {
      const { delivery } = judged.get(name) as Judged;
      expect(delivery.status).toBe(error === null ? "delivered" : "failed");
      expect(delivery.attempts.length).toBe(error === null ? 1 : ATTEMPTS);
      for (const attempt of delivery.attempts) {
        expect({ status: attempt.status, error: attempt.error }).toEqual({ status, error });
        expect(attempt.duration_ms).toBeLessThan(TIMEOUT_MS + SLACK_MS);
        if (untilDeadline) expect(attempt.duration_ms).toBeGreaterThanOrEqual(TIMEOUT_MS - 5);
      }
    },
  );
});

test("a redirect is not followed", () => {
  for (const name of ["redirects to itself", "redirects with 308"]) {
    const { receiver } = judged.get(name) as Judged;
    expect(receiver.requests.length).toBe(ATTEMPTS);
    for (const request of receiver.requests) expect(request).toStartWith("POST /hook HTTP/1.1\r\n");
  }
});

test("no Retry-After puts the next attempt off for longer than the maximum delay", () => {
  for (const [name, { delivery }] of judged) {
    if (!name.startsWith("says Retry-After")) continue;
    const [first, second] = delivery.attempts.map((attempt: { started_at: string }) =>
      Date.parse(attempt.started_at),
    );
    expect(second - first).toBeLessThan(100 + SLACK_MS);
  }
});

test("a compressed body is kept as it came, and is not inflated", () => {
  const { delivery } = judged.get("sends a gzip bomb") as Judged;
  const excerpt: string = delivery.attempts[0].response_excerpt;
  expect(excerpt).toStartWith("\x1f\uFFFD\b\uFFFD");
  expect(excerpt.length).toBeLessThanOrEqual(1024);
});

test("what it costs is bounded", () => {
  expect(memoryMost - memoryBefore).toBeLessThan(80);
});

test("no connection stays but those that may be used again", async () => {
  const reusable = HOSTILE.filter(({ name }) => /^(answers|redirects|talks|says|sends a gzip)/.test(name));
  for (const { name } of HOSTILE) {
    const { receiver } = judged.get(name) as Judged;
    const most = reusable.some((one) => one.name === name) ? 1 : 0;
    await until(`"${name}" keeps ${most} connections`, () => receiver.sockets.size <= most, 2_000);
  }
  expect(openDescriptors(daemon.pid)).toBeLessThanOrEqual(descriptorsBefore + reusable.length + 2);
});

describe("what a receiver sends", () => {
  test("reaches no log line", () => {
    for (const line of daemon.log) {
      const text = JSON.stringify(line);
      expect(text).not.toContain(CANARY);
      expect(text).not.toContain("forged");
      expect(text).not.toMatch(/\\u001b|\\[nr]|[\p{Cc}\u202a-\u202e\u2066-\u2069\u2028\u2029]/u);
    }
  });

  test("is answered by the API as text, with escapes and line breaks escaped", async () => {
    const { delivery } = judged.get("talks to the terminal") as Judged;
    expect(delivery.attempts[0].response_excerpt).toBe(TERMINAL);
    const headers = { authorization: `Bearer ${key}` };
    const answer = await fetch(`${daemon.url}/v1/deliveries/${delivery.id}`, { headers });
    expect(await answer.text()).not.toMatch(/[\p{Cc}--[\x80-\x9f]]/v);
  });

  test("reaches no terminal through a command", async () => {
    const { stdout, stderr } = await runCommand(["status", "--data-dir", daemon.dataDir]);
    expect(stdout).toContain("127.0.0.1");
    expect(stdout + stderr).not.toContain(CANARY);
    expect(stdout + stderr).not.toMatch(/[^\P{C}\n]/u);
  });
});

test("a hundred bodies of 10 GB, endless chunks and bombs at once cost bounded memory", async () => {
  const names = ["sends a body of 10 GB", "sends chunks without end", "sends a gzip bomb"];
  const before = residentMiB();
  const finishedBefore = finished();
  let most = 0;
  const sampler = setInterval(() => (most = Math.max(most, residentMiB())), 20);
  try {
    await sendEvents(100);
    const enabled = HOSTILE.filter(({ error }) => error === null).length;
    await until("each is delivered", () => finished() === finishedBefore + 100 * enabled, 30_000);
  } finally {
    clearInterval(sampler);
  }
  expect(most - before).toBeLessThan(80);
  for (const name of names) {
    const { webhookId } = judged.get(name) as Judged;
    const { body } = await api("GET", `/v1/webhooks/${webhookId}`);
    expect(body.webhook).toMatchObject({ enabled: true, failure_count: 0 });
  }
}, 40_000);

test("bytes behind an answer end the connection, so that they answer nothing else", () => {
  const { receiver } = judged.get("sends bytes behind its answer") as Judged;
  expect(receiver.requests.length).toBe(101);
  expect(receiver.connections).toBe(101);
});

test("a receiver that fails costs no other its deliveries, and the daemon is well", async () => {
  const { status } = await fetch(`${daemon.url}/health`);
  expect(status).toBe(200);
  expect(daemon.log.filter(({ level }) => level === "error")).toEqual([]);
});
