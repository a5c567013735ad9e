import { afterEach, expect, test } from "bun:test";
import { connectScanner, scan, until } from "../support/daemon.ts";
import { cleanUp, command, receive, startBinary } from "../support/e2e.ts";

afterEach(cleanUp);

/** Events before, one by one, so that each of the webhooks may have many requests in flight. */
const BEFORE = 25;

test.each([
  ["with more to send than there are slots", 300, 2_048, 30],
  ["more than there are slots, with one event each", 300, 256, 1],
])(
  "a healthy webhook gets a new event at once beside hundreds that have answered before and hang now: %s",
  async (_, hanging, concurrency, events) => {
    const args = ["--concurrency", String(concurrency), "--log-level", "error"];
    const started = await startBinary({ args });
    const create = ["key", "create", "--org", started.organizationId, "--rate-limit", "10000", "--json"];
    const { stdout } = await command([...create, "--data-dir", started.dataDir]);
    const headers = {
      authorization: `Bearer ${JSON.parse(stdout).raw_key}`,
      "content-type": "application/json",
    };
    const register = async (url: string, tier: string): Promise<void> => {
      const body = JSON.stringify({ url, events: [`${tier}_tier`] });
      const { status } = await fetch(`${started.url}/v1/webhooks`, { method: "POST", headers, body });
      expect(status).toBe(201);
    };
    let hangs = false;
    const never = receive(() => (hangs ? new Promise<Response>(() => {}) : new Response("")));
    const healthy = receive();
    for (let i = 0; i < hanging; i += 1) await register(`${never.url}/${i}`, "red");
    await register(healthy.url, "green");
    const scanner = await connectScanner(started.socket);
    await scanner.send(scan({ tier: "green" }));
    for (let i = 1; i <= BEFORE; i += 1) {
      await scanner.send(scan());
      await until("all have answered", () => never.received.length === i * hanging, 10_000);
    }
    hangs = true;
    await scanner.send(...Array.from({ length: events }, () => scan()));
    await Bun.sleep(1_500);
    const sent = performance.now();
    await scanner.send(scan({ tier: "green" }));
    await until("the healthy one gets it", () => healthy.received.length === 2, 8_000);
    expect((healthy.received[1]?.at ?? Number.NaN) - sent).toBeLessThan(1_000);
    scanner.close();
  },
  60_000,
);
