import { afterEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { startCuttingProxy } from "../support/cutting-proxy.ts";
import { connectScanner, type RunningDaemon, scan, until } from "../support/daemon.ts";
import { cleanUp, emptyDir, receive, register, startAgain, startBinary } from "../support/e2e.ts";
import { FAULTS } from "../support/faults.ts";
import { DRIVERS, type Outcome, startDriver } from "../support/scanner-drivers/drivers.ts";

afterEach(cleanUp);

const QUIET = ["--log-level", "warn"];

function scans(count: number, fields: Record<string, unknown> = {}): object[] {
  return Array.from({ length: count }, (_, i) => scan({ latency_ms: i, ...fields }));
}

/** Every event has one ack of its own, in the order in which they were given: the daemon's ids grow. */
function expectEachStoredOnce(outcomes: readonly Outcome[], count: number): string[] {
  expect(outcomes.map(({ n }) => n)).toEqual(Array.from({ length: count }, (_, n) => n));
  expect(outcomes.filter(({ error }) => error)).toEqual([]);
  const ids = outcomes.map(({ ack }) => ack?.id as string);
  expect(new Set(ids).size).toBe(count);
  return ids;
}

describe.each(DRIVERS)("the scanner client in %s", (name) => {
  const inOrder = name !== "python, 16 threads";

  test("loses nothing and stores nothing twice through kill -9 amid 2,000 events", async () => {
    const receiver = receive();
    let daemon = await startBinary({ args: QUIET });
    await register(daemon, receiver.url);
    const driver = await startDriver(name, daemon.socket);
    for (let kills = 0; kills < 4; kills += 1) {
      driver.give(...scans(400));
      await driver.settled(kills * 500 + 50);
      const troubled = driver.troubled();
      await daemon.stop("SIGKILL");
      // However fast the client was, these come while no daemon is there.
      driver.give(...scans(100));
      await troubled;
      daemon = await startAgain(daemon, { args: QUIET });
    }
    const { outcomes } = await driver.end();
    const ids = expectEachStoredOnce(outcomes, 2_000);
    if (inOrder) expect(ids.map(Number)).toEqual(ids.map(Number).toSorted((a, b) => a - b));
    expect(driver.problems).toContain("CONNECTION_LOST");
    await until("all are delivered", () => new Set(webhookIds(receiver.received)).size >= 2_000);
    expect(new Set(webhookIds(receiver.received))).toEqual(new Set(ids));
  }, 30_000);

  test.each(FAULTS)(
    "waits for a daemon that cannot store: $name",
    async (fault) => {
      const dir = emptyDir();
      fault.prepare(join(dir, "data"));
      const daemon = await startBinary({ dir, args: QUIET });
      const driver = await startDriver(name, daemon.socket);
      driver.give(...scans(10));
      await driver.settled(10);
      fault.inject(daemon);
      // More than what is left can take, where what is left is a little.
      driver.give(...scans(100, { signals: Array(90).fill(SIGNAL) }));
      await Bun.sleep(700);
      expect(driver.outcomes.length).toBeLessThan(110);
      fault.heal(daemon);
      const { outcomes } = await driver.end();
      expectEachStoredOnce(outcomes, 110);
      expect(driver.problems).toContain("UNAVAILABLE");
    },
    20_000,
  );

  test("waits for a place at a daemon that has as many connections as it takes", async () => {
    const daemon = await startBinary({ args: [...QUIET, "--socket-connections", "1"] });
    const other = await connectScanner(daemon.socket);
    const driver = await startDriver(name, daemon.socket);
    driver.give(...scans(3));
    await driver.troubled();
    expect(driver.outcomes).toEqual([]);
    other.close();
    const { outcomes } = await driver.end();
    expectEachStoredOnce(outcomes, 3);
  });

  test("a refused event has an error of its own, and the others are taken", async () => {
    const daemon = await startBinary();
    const driver = await startDriver(name, daemon.socket);
    const nobody = "00000000-0000-4000-8000-000000000000";
    const bad = [
      scan({ tier: "purple" }),
      scan({ organization_id: nobody }),
      scan({ id: "x".repeat(300_000) }),
    ];
    driver.give(...scans(5), ...bad, ...scans(5));
    const { outcomes } = await driver.end();
    expect(outcomes.slice(5, 8).map(({ error }) => [error?.name, error?.code])).toEqual([
      ["EventRefusedError", "VALIDATION_ERROR"],
      ["EventRefusedError", "NOT_FOUND"],
      ["EventRefusedError", "PAYLOAD_TOO_LARGE"],
    ]);
    expect(outcomes[5]?.error?.message).toBe("tier must be one of green, yellow, red");
    expect(outcomes.filter(({ ack }) => ack && !ack.duplicate)).toHaveLength(10);
    expect(driver.problems).toEqual([]);
  });

  test("waits for a socket that is not there yet", async () => {
    const dir = emptyDir();
    const driver = await startDriver(name, join(dir, "data", "events.sock"));
    driver.give(...scans(10));
    await driver.troubled();
    expect(driver.outcomes).toEqual([]);
    await startBinary({ dir });
    const { outcomes } = await driver.end();
    expectEachStoredOnce(outcomes, 10);
    expect(driver.problems).toContain("CONNECTION_LOST");
  });

  test("takes half an ack for none: the event is sent again with the same id", async () => {
    const daemon = await startBinary();
    const path = join(daemon.dir, "cut.sock");
    // In the middle of the first ack, in the middle of the second, at its newline.
    const proxy = await startCuttingProxy(path, daemon.socket, [20, ACK_BYTES + 30, ACK_BYTES * 2 - 1]);
    const driver = await startDriver(name, path);
    driver.give(...scans(50));
    const { outcomes } = await driver.end();
    expectEachStoredOnce(outcomes, 50);
    expect(proxy.cuts).toBe(3);
    expect(outcomes.filter(({ ack }) => ack?.duplicate).length).toBeGreaterThan(0);
    expect(await storedBy(daemon)).toBe(50);
  });

  test("keeps no more than it may, and lets its caller wait, while the daemon reads nothing", async () => {
    const daemon = await startBinary();
    process.kill(daemon.pid, "SIGSTOP");
    const driver = await startDriver(name, daemon.socket, 20_000);
    driver.give(...scans(2_000));
    await Bun.sleep(500);
    process.kill(daemon.pid, "SIGCONT");
    const { outcomes, summary } = await driver.end();
    expectEachStoredOnce(outcomes, 2_000);
    // An event is a little over 200 bytes.
    expect(summary.peak).toBeLessThan(100);
  });

  test("sends only what is documented of an event", async () => {
    const receiver = receive();
    const daemon = await startBinary();
    await register(daemon, receiver.url);
    const path = join(daemon.dir, "seen.sock");
    let seen = "";
    const tap = Bun.listen({
      unix: path,
      socket: {
        data: (socket, bytes) => {
          seen += bytes.toString();
          if (seen.endsWith("\n")) socket.write('{"ok":true,"id":"1","deliveries":0}\n');
        },
      },
    });
    const driver = await startDriver(name, path);
    const signals = [{ ...SIGNAL, match: "078-05-1120" }];
    driver.give(scan({ id: "scan-1", prompt: "my number is 078-05-1120", signals }));
    await driver.end();
    tap.stop(true);
    expect(JSON.parse(seen)).toEqual(scan({ id: "scan-1" }));
  });

  // One `send` after another waits for the disk each time, however many threads there are.
  test.if(inOrder)(
    "sends 20,000 events a second",
    async () => {
      const daemon = await startBinary({ args: QUIET });
      const rates: number[] = [];
      // What else the machine does slows one run, not each of three.
      for (let run = 0; run < 3 && !rates.some((rate) => rate >= 20_000); run += 1) {
        const driver = await startDriver(name, daemon.socket);
        driver.give(...scans(40_000));
        const { outcomes, summary } = await driver.end();
        expect(outcomes).toHaveLength(40_000);
        rates.push(Math.round(40_000 / (summary.ms / 1000)));
      }
      console.log(`${name}: ${rates.join(", ")} events/s`);
      expect(Math.max(...rates)).toBeGreaterThan(20_000);
    },
    30_000,
  );
});

const SIGNAL = { domain: "pii", type: "ssn", confidence: 0.98, weight: 50 };
const ACK_BYTES = '{"ok":true,"id":"9007199254740991","deliveries":0}\n'.length;

function webhookIds(requests: readonly { headers: Record<string, string> }[]): string[] {
  return requests.map(({ headers }) => headers["webhook-id"] ?? "");
}

/** How many events a daemon has stored so far. */
async function storedBy(daemon: RunningDaemon): Promise<number> {
  const text = await (await fetch(`${daemon.url}/metrics`)).text();
  return [...text.matchAll(/^armorhooks_events_total\{.*\} (\d+)$/gm)].reduce(
    (sum, [, n]) => sum + Number(n),
    0,
  );
}
