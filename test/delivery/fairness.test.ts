import { afterEach, expect, test } from "bun:test";
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
import { type Receiver, startReceiver } from "../support/receiver.ts";

const HANGING = 24;
let daemon: RunningDaemon;
let receivers: Receiver[] = [];

afterEach(async () => {
  await daemon.stop("SIGKILL");
  for (const receiver of receivers) await receiver.stop();
  receivers = [];
  removeDir(daemon.dir);
});

/** A daemon with few slots, and a key that may make many requests. */
async function start(): Promise<RunningDaemon> {
  const args = [...LOOPBACK, "--concurrency", "16", "--request-timeout", "4s", "--log-level", "error"];
  daemon = await startDaemon({ args });
  const create = ["key", "create", "--org", daemon.organizationId, "--rate-limit", "10000", "--json"];
  const { stdout } = await runCommand([...create, "--data-dir", daemon.dataDir]);
  return { ...daemon, key: JSON.parse(stdout).raw_key };
}

function receive(answer?: Receiver["answer"]): Receiver {
  const receiver = startReceiver(answer);
  receivers.push(receiver);
  return receiver;
}

async function register({ url, key }: RunningDaemon, target: string, events: string[]): Promise<void> {
  const answer = await fetch(`${url}/v1/webhooks`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ url: target, events }),
  });
  expect(answer.status).toBe(201);
}

test("a healthy webhook, tried before or not, gets a new event before the first of many that hang times out", async () => {
  const running = await start();
  const never = receive(() => new Promise<Response>(() => {}));
  const proven = receive();
  const untried = receive();
  for (let i = 0; i < HANGING; i += 1) await register(running, `${never.url}/${i}`, ["red_tier"]);
  await register(running, proven.url, ["green_tier"]);
  await register(running, untried.url, ["yellow_tier"]);
  const scanner = await connectScanner(daemon.socket);
  await scanner.send(scan({ tier: "green" }));
  await until("the healthy one is proven", () => proven.received.length === 1);

  await scanner.send(...Array.from({ length: 100 }, () => scan()));
  await until("the hanging ones hold slots", () => never.received.length >= 6);
  for (const [receiver, tier, before] of [
    [proven, "green", 1],
    [untried, "yellow", 0],
  ] as const) {
    const sent = performance.now();
    await scanner.send(scan({ tier }));
    await until(`the ${tier} event arrives`, () => receiver.received.length > before, 3_000);
    expect((receiver.received.at(-1)?.at ?? Number.NaN) - sent).toBeLessThan(2_500);
  }
  expect(never.received.length).toBeLessThanOrEqual(2 * HANGING);
  scanner.close();
}, 30_000);

test("one that recovers is found by a probe and its backlog drains", async () => {
  const running = await start();
  let broken = true;
  const receiver = receive(() => new Response("", { status: broken ? 500 : 200 }));
  await register(running, receiver.url, ["red_tier"]);
  const scanner = await connectScanner(daemon.socket);
  await scanner.send(...Array.from({ length: 300 }, () => scan()));
  await until("it has failed", () => receiver.received.length >= 2);
  const whileBroken = receiver.received.length;
  expect(whileBroken).toBeLessThan(10);
  broken = false;
  await until(
    "every event has arrived",
    () =>
      new Set(receiver.received.slice(whileBroken).map(({ headers }) => headers["webhook-id"])).size === 300,
    20_000,
  );
  scanner.close();
}, 30_000);
