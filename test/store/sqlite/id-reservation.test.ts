import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { cpSync } from "node:fs";
import { join } from "node:path";
import type { SqliteStore as Store } from "../../../src/store/sqlite/store.ts";
import { createWalSync, type WalSync } from "../../../src/store/sqlite/wal-sync.ts";
import { newDir, removeDir } from "../../support/daemon.ts";
import { addOrganization, addWebhook, BODY, openTestStore } from "../seed.ts";

const HOUR = 3_600_000;
const START = Date.UTC(2026, 5, 1);

let dir: string;
let dataDir: string;
let wall: number;
let monotonic: number;
let syncs: number;
let open: Store[];

beforeEach(() => {
  dir = newDir();
  dataDir = join(dir, "data");
  wall = START;
  monotonic = 0;
  syncs = 0;
  open = [];
});
afterEach(async () => {
  for (const store of open) await store.close();
  removeDir(dir);
});

const pass = (milliseconds: number): void => {
  wall += milliseconds;
  monotonic += milliseconds;
};

/** A disk whose syncs are asked for, but end only when the test says so. */
const slowDisk = () => {
  const waiting: ((error: Error | null) => void)[] = [];
  const sync = (path: string): WalSync => ({
    ...createWalSync(path),
    request: (done) => {
      syncs += 1;
      waiting.push(done);
    },
    join: (done) => waiting.push(done),
    finish: () => {},
  });
  return {
    sync,
    answer: (error: Error | null = null) => waiting.splice(0).forEach((done) => void done(error)),
  };
};

const openOn = (path: string, syncWal = createWalSync): Store => {
  const clockSources = { wall: () => wall, monotonic: () => monotonic };
  const store = openTestStore(path, { clockSources, syncWal });
  open.push(store);
  return store;
};

const subscribed = async (store: Store) => {
  const organizationId = await addOrganization(store);
  const { id: webhookId } = await addWebhook(store, organizationId);
  return () =>
    store.eventLog
      .insertEvents(
        [
          {
            organizationId,
            externalId: null,
            type: 2,
            body: BODY,
            receivedAt: wall,
            webhookIds: [webhookId],
          },
        ],
        store.clock.schedule(),
      )
      .map(({ eventId }) => eventId)[0] as number;
};

/** How many transactions have waited for the disk since. */
const countWaits = ({ database: { sqlite } }: Store): (() => number) => {
  const real = sqlite.exec.bind(sqlite);
  let waits = 0;
  sqlite.exec = ((sql: string) => {
    if (sql === "PRAGMA synchronous = FULL") waits += 1;
    return real(sql);
  }) as typeof sqlite.exec;
  return () => waits;
};

/** The files as a power cut at this moment may leave them: nothing of what came since the copy. */
const copyOfDisk = (name: string): string => {
  cpSync(dataDir, join(dir, name), { recursive: true });
  return join(dir, name);
};

describe("ids after a power cut that takes back what was not synced", () => {
  test("are beyond any that was given, with the clock an hour back", async () => {
    const { sync, answer } = slowDisk();
    const store = openOn(dataDir, sync);
    const insert = await subscribed(store);
    insert();
    const left = copyOfDisk("cut");
    let last = 0;
    // Events of 4.9 s whose syncs never ended: receivers may have them all.
    for (let n = 0; n < 490; n += 1) {
      pass(10);
      last = insert();
    }
    answer(new Error("power cut"));
    wall -= HOUR;
    const next = openOn(left);
    expect((await subscribed(next))()).toBeGreaterThan(last);
    expect(next.ids.next()).toBeGreaterThan(last);
  });

  test("also those of messages that are not stored", async () => {
    const store = openOn(dataDir);
    const first = store.ids.next();
    const left = copyOfDisk("cut");
    pass(500);
    const last = store.ids.next();
    expect(last).toBeGreaterThan(first);
    wall -= HOUR;
    expect(openOn(left).ids.next()).toBeGreaterThan(last);
  });

  test("also when the disk has not answered for long: then an event waits for it", async () => {
    const store = openOn(dataDir, slowDisk().sync);
    const insert = await subscribed(store);
    const first = insert();
    const waits = countWaits(store);
    const cuts = [{ left: copyOfDisk("cut"), last: first }];
    for (let n = 0; n < 60; n += 1) {
      const before = waits();
      pass(400);
      const id = insert();
      if (waits() > before) cuts.push({ left: copyOfDisk(`cut-${n}`), last: id });
      else (cuts.at(-1) as { last: number }).last = id;
    }
    expect(cuts.length).toBeGreaterThan(3);
    wall -= HOUR;
    for (const { left, last } of cuts) expect(openOn(left).ids.next()).toBeGreaterThan(last + 1);
  });
});

test("events that come steadily need no sync of their own for it", async () => {
  const { sync, answer } = slowDisk();
  const store = openOn(dataDir, sync);
  const insert = await subscribed(store);
  insert();
  const waits = countWaits(store);
  for (let n = 0; n < 600; n += 1) {
    pass(50);
    insert();
    // As whoever acks the event asks for.
    store.database.whenDurable(() => {});
    answer();
  }
  expect(waits()).toBe(0);
  expect(syncs).toBe(600);
});

test("an orderly end leaves no gap, and ids say the time again", async () => {
  const store = openOn(dataDir);
  const insert = await subscribed(store);
  const last = insert();
  open.pop();
  await store.close();
  pass(10);
  const next = openOn(dataDir);
  // The event's delivery has the id after it.
  expect(next.lastId()).toBe(last + 1);
  const id = next.ids.next();
  expect(id - last).toBeLessThanOrEqual(4096 * 20);
});

test("schedule time is not carried ahead by starts that follow each other quickly", async () => {
  const store = openOn(dataDir);
  (await subscribed(store))();
  for (let n = 0; n < 20; n += 1) {
    const left = copyOfDisk(`crash-${n}`);
    dataDir = left;
    pass(50);
    (await subscribed(openOn(left)))();
  }
  expect(openOn(dataDir).clock.schedule()).toBe(wall);
});
