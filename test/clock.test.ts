import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { clockState, createClock, toWall } from "../src/clock.ts";
import { createDeliveryEngine, type DeliveryEngine } from "../src/delivery/engine.ts";
import { createTransport } from "../src/delivery/http/transport.ts";
import type { AttemptOutcome } from "../src/delivery/observer.ts";
import { createSender } from "../src/delivery/send.ts";
import { createSettingsLoader } from "../src/delivery/settings.ts";
import { createTargetGuard, parseCidr } from "../src/delivery/target-guard.ts";
import { createMetrics } from "../src/metrics.ts";
import { createPruner } from "../src/pruner.ts";
import type { SqliteStore } from "../src/store/sqlite/store.ts";
import { addOrganization, addWebhook, BODY, openTestStore, seed } from "./store/seed.ts";
import { newDir, removeDir, until } from "./support/daemon.ts";
import { type Receiver, startReceiver } from "./support/receiver.ts";

const DAY = 86_400_000;
const JUMPS: [string, number][] = [
  ["forward", DAY],
  ["back", -DAY],
];

describe("schedule time", () => {
  const START = Date.UTC(2026, 5, 1);

  test.each(JUMPS)("goes on evenly when the wall clock jumps %s by a day", (_, jump) => {
    let wall = START;
    let monotonic = 5_000;
    const clock = createClock(null, { wall: () => wall, monotonic: () => monotonic });
    expect(clock.schedule()).toBe(START);
    wall += jump;
    monotonic += 1_000;
    expect(clock.schedule()).toBe(START + 1_000);
    expect(clock.wall()).toBe(START + jump);
    // A retry due in a minute is due in a minute on the clock that people read.
    expect(toWall(clock, clock.schedule() + 60_000)).toBe(wall + 60_000);
  });

  test.each(JUMPS)("goes on over a restart after the wall clock jumped %s while running", (_, jump) => {
    let wall = START;
    let monotonic = 0;
    const clock = createClock(null, { wall: () => wall, monotonic: () => monotonic });
    wall += jump + 1_000;
    monotonic += 1_000;
    const state = clockState(clock);
    wall += 500;
    const next = createClock(state, { wall: () => wall, monotonic: () => 0 });
    expect(next.schedule()).toBe(START + 1_500);
  });

  test("does not go back when the wall clock did while the daemon was down", () => {
    const state = { offset: 0, last: START };
    const clock = createClock(state, { wall: () => START - DAY, monotonic: () => 0 });
    expect(clock.schedule()).toBe(START);
  });

  test("counts the time that the daemon was down", () => {
    const state = { offset: 0, last: START };
    expect(createClock(state, { wall: () => START + DAY, monotonic: () => 0 }).schedule()).toBe(START + DAY);
  });
});

describe("with a wall clock that jumps", () => {
  let dir: string;
  let dataDir: string;
  let receiver: Receiver;
  let offset: number;
  let store: SqliteStore;
  let engine: DeliveryEngine | null;
  let attempts: AttemptOutcome[];
  let closeTransport: () => void;

  beforeEach(async () => {
    dir = newDir();
    dataDir = join(dir, "data");
    receiver = startReceiver(() => new Response("no", { status: 500 }));
    offset = 0;
    attempts = [];
    engine = null;
    closeTransport = () => {};
  });
  afterEach(async () => {
    await engine?.stop(1_000);
    closeTransport();
    await store.close();
    await receiver.stop();
    removeDir(dir);
  });

  const open = (): void => {
    store = openTestStore(dataDir, { clockSources: { wall: () => Date.now() + offset } });
  };

  /** The delivery engine of the daemon on the present store. */
  function work(minDelay: number): DeliveryEngine {
    const { clock } = store;
    const transport = createTransport({ ca: null });
    closeTransport = () => transport.close();
    const guard = createTargetGuard({ allowNetworks: [parseCidr("127.0.0.0/8")], ownAddresses: () => [] });
    const sender = createSender({
      guard,
      resolve: async () => [],
      transport,
      clock,
      version: "test",
      source: "host.test",
      timeoutMs: 5_000,
      maxRetryAfterMs: DAY,
      allowHttp: true,
      onFault: (error) => expect(error).toBeUndefined(),
    });
    const made = createDeliveryEngine({
      deliveries: store.deliveryQueue,
      load: createSettingsLoader({ webhooks: store.webhooks, sender }),
      formatId: store.ids.format,
      clock,
      sender,
      observer: {
        attempted: (outcome) => attempts.push(outcome),
        disabled: () => {},
        ended: () => {},
        fault: (what, error) => {
          throw new Error(what, { cause: error });
        },
      },
      policy: { attempts: 12, minDelay, factor: 1, maxDelay: 3_600_000, jitter: false },
      concurrency: 16,
      requestTimeoutMs: 10_000,
      handshakes: () => 0,
      webhookConcurrency: 4,
    });
    made.start();
    engine = made;
    return made;
  }

  async function newEvent(webhookId: number, organizationId: number, to: DeliveryEngine): Promise<void> {
    const event = { organizationId, externalId: null, type: 2, body: BODY, receivedAt: store.clock.wall() };
    const { claimed } = await store.eventLog.append([{ ...event, webhookIds: [webhookId] }], to.wants);
    to.accept(claimed);
  }

  async function prepare(): Promise<{ webhookId: number; organizationId: number }> {
    open();
    const organizationId = await addOrganization(store);
    const { id: webhookId } = await addWebhook(store, organizationId);
    store.database.sqlite.query("UPDATE webhooks SET url = ?").run(receiver.url);
    return { webhookId, organizationId };
  }

  test.each(JUMPS)("%s by a day, a retry comes when it is due: no storm, no stall", async (_, jump) => {
    const { webhookId, organizationId } = await prepare();
    await newEvent(webhookId, organizationId, work(400));
    await until("the first attempt failed", () => attempts.length === 1);
    offset = jump;
    await Bun.sleep(150);
    expect(receiver.received).toHaveLength(1);
    await until("the retry came", () => attempts.length === 2, 1_000);
    const [first, second] = receiver.received;
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeWithin(380, 800);
    const stamp = Number(second?.headers["webhook-timestamp"]) * 1000;
    expect(Math.abs(stamp - (Date.now() + jump))).toBeLessThan(5_000);
  });

  test.each(JUMPS)("%s by a day over a restart, a retry that is far off stays far off", async (_, jump) => {
    const { webhookId, organizationId } = await prepare();
    await newEvent(webhookId, organizationId, work(3_600_000));
    await until("the first attempt failed", () => attempts.length === 1);
    const due = store.deliveries.nextDueAfter(webhookId, store.clock.schedule()) ?? 0;
    offset = jump;
    store.saveClock();
    await engine?.stop(1_000);
    closeTransport();
    await store.close();
    open();
    expect(Math.abs(due - store.clock.schedule() - 3_600_000)).toBeLessThan(5_000);
    work(3_600_000);
    await Bun.sleep(150);
    expect(receiver.received).toHaveLength(1);
  });

  test("back by a day while the daemon was down, a retry is no later, and ids go on growing", async () => {
    const { webhookId, organizationId } = await prepare();
    await newEvent(webhookId, organizationId, work(31_000));
    await until("the first attempt failed", () => attempts.length === 1);
    const last = store.lastId();
    await engine?.stop(1_000);
    closeTransport();
    // Killed: nothing was written down.
    await store.close();
    offset = -DAY;
    open();
    expect(store.ids.next()).toBeGreaterThan(last);
    const due = store.deliveries.nextDueAfter(webhookId, store.clock.schedule()) ?? 0;
    expect(due - store.clock.schedule()).toBeLessThanOrEqual(32_000);
  });

  test.each(JUMPS)("%s by a day, pruning removes nothing before its time", async (_, jump) => {
    const { webhookId, organizationId } = await prepare();
    const HOUR = 3_600_000;
    const at = store.clock.schedule();
    seed(store, { webhookId, organizationId, count: 10, at: at - 2 * HOUR, status: "delivered" });
    seed(store, { webhookId, organizationId, count: 10, at: at - HOUR / 2, status: "delivered" });
    offset = jump;
    // Old, but delivered only now, on the clock that jumped.
    seed(store, { webhookId, organizationId, count: 10, at: at - 3 * HOUR, status: "delivered" });
    store.database.sqlite
      .query("UPDATE deliveries SET finished_at = ? WHERE created_at < ?")
      .run(store.clock.wall(), at - 3 * HOUR + 1_000);
    const faults: unknown[] = [];
    const metrics = createMetrics();
    const pruner = createPruner({
      store,
      retentionMs: HOUR,
      metrics,
      onFault: (error) => faults.push(error),
    });
    pruner.start();
    await Bun.sleep(1_200);
    await pruner.stop();
    expect(faults).toEqual([]);
    const left = store.database.sqlite
      .query<{ n: number }, []>("SELECT count(*) AS n FROM deliveries")
      .get()?.n;
    // Set back, what finished long ago looks younger than it is, and is kept for longer.
    expect(left).toBe(jump > 0 ? 20 : 30);
  });
});
