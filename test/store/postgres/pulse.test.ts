import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { StoreFault } from "../../../src/store/faults.ts";
import type { Announcement, Announcer } from "../../../src/store/postgres/announcements.ts";
import { createDatabaseClock } from "../../../src/store/postgres/clock.ts";
import type { PostgresDatabase } from "../../../src/store/postgres/database.ts";
import type { Beat, Membership } from "../../../src/store/postgres/members.ts";
import type { Partitions } from "../../../src/store/postgres/partitions.ts";
import type { Query } from "../../../src/store/postgres/pool.ts";
import { createPulse, type Pulse } from "../../../src/store/postgres/pulse.ts";

/** What was done, in order, by name. */
let done: string[];
let told: Announcement[];
/** What the next signs of life come to; after them all are well. */
let beats: (Beat | Error)[];
let isAlive: boolean;
let isListening: boolean;
/** Turns until what is draining has been given. */
let drains: number;
let fault: string | null;
let pulse: Pulse;
/** As what another daemon tells comes in, and as it may have been missed. */
let hear: (announcement: Announcement) => void;
let gap: () => void;

const count = (name: string) => done.filter((one) => one === name).length;
/** Waits for what is done soon. */
async function until(name: string, times = 1): Promise<void> {
  for (let i = 0; count(name) < times; i += 1) {
    if (i > 400) throw new Error(`${name} was not done ${times} times: ${done.join(", ")}`);
    await Bun.sleep(5);
  }
}

beforeEach(() => {
  [done, told, beats] = [[], [], []];
  [isAlive, isListening, drains, fault] = [true, true, 0, null];
  const note = (name: string) => async (): Promise<void> => {
    done.push(name);
  };
  const query = (async () => Object.assign([{ now: 5_000 }], { count: 1 })) as unknown as Query;
  pulse = createPulse({
    database: {
      pulse: { query },
      fault: () => fault,
      failed: (error: unknown) => {
        fault = String(error);
        done.push("failed");
      },
      worked: () => {
        fault = null;
        done.push("worked");
      },
    } as unknown as PostgresDatabase,
    clock: createDatabaseClock(),
    membership: {
      isAlive: () => isAlive,
      join: note("join"),
      send: note("send"),
      leave: note("leave"),
      beat: async () => {
        done.push("beat");
        const came = beats.shift() ?? "alive";
        if (came instanceof Error) throw came;
        isAlive = true;
        return came;
      },
      removeDead: async () => 0,
    } as unknown as Membership,
    partitions: {
      isDraining: () => drains > 0,
      giveDrained: async () => {
        done.push("give");
        drains -= 1;
        return drains === 0;
      },
      balance: note("balance"),
      dropAll: () => done.push("drop all"),
    } as unknown as Partitions,
    announcer: {
      tell: (announcement: Announcement) => told.push(announcement),
      flush: note("flush"),
    } as Announcer,
    createListener: (...handlers) => {
      [hear, gap] = handlers;
      return { isListening: () => isListening, listen: note("listen"), close: note("close") };
    },
    log: undefined,
    refresh: note("refresh"),
    tidy: note("tidy"),
    due: { poll: note("poll"), tell: (ids) => done.push(`due ${ids}`) },
    watchers: { gained: () => done.push("revived") },
  });
});
afterEach(() => pulse.stop());

/** Joined, and looked around once. */
async function started(): Promise<void> {
  await pulse.start();
  await until("worked");
}

describe("the pulse of a daemon", () => {
  test("joins, says so, and looks for what has changed; it takes a share only once an engine is there", async () => {
    await started();
    expect(done.slice(0, 2)).toEqual(["join", "refresh"]);
    expect(told).toEqual([{ shares: true }]);
    expect(count("balance")).toBe(0);
    pulse.send();
    await until("balance");
    expect(told).toEqual([{ shares: true }, { shares: true }]);
  });

  test("has what waits looked at when the lease was in doubt for a moment", async () => {
    await started();
    isAlive = false;
    beats = ["revived"];
    hear({ changed: true });
    await until("revived");
    expect([count("beat"), count("join"), count("drop all")]).toEqual([1, 1, 0]);
    hear({ changed: true });
    await until("worked", 3);
    expect(count("revived")).toBe(1);
  });

  test("begins anew when its sign of life came too late: it holds nothing, and tells the others", async () => {
    await started();
    pulse.send();
    await until("balance");
    isAlive = false;
    beats = ["late"];
    told = [];
    hear({ changed: true });
    await until("join", 2);
    await until("balance", 2);
    expect(done.indexOf("drop all")).toBeLessThan(done.lastIndexOf("join"));
    expect([told, count("revived")]).toEqual([[{ shares: true }], 0]);
  });

  test("goes on after a fault with a sign of life, and says that the database works again", async () => {
    await started();
    isAlive = false;
    beats = [new StoreFault("away"), "revived"];
    hear({ changed: true });
    await until("failed");
    const beatsBefore = count("beat");
    hear({ changed: true });
    await until("revived");
    expect([count("beat"), fault]).toEqual([beatsBefore + 1, null]);
  });

  test("listens anew after a fault: what it listened on may be cut off without a word", async () => {
    await started();
    expect(count("listen")).toBe(0);
    fault = "away";
    hear({ changed: true });
    await until("listen");
    hear({ changed: true });
    await until("worked", 3);
    expect(count("listen")).toBe(1);
  });

  test("gives what drains as soon as it can, and tells when all of it is given", async () => {
    await started();
    drains = 3;
    told = [];
    const before = performance.now();
    hear({ changed: true });
    await until("give", 3);
    expect(performance.now() - before).toBeLessThan(250);
    expect(told).toEqual([{ shares: true }]);
  });

  test("polls at once when something may have been missed, and each second where nothing is told", async () => {
    await started();
    const before = count("poll");
    gap();
    await until("poll", before + 1);
    isListening = false;
    hear({ changed: true });
    await until("listen");
    const at = performance.now();
    await until("poll", before + 2);
    expect(performance.now() - at).toBeWithin(700, 1_700);
  });

  test("leaves in order: what is to be written is, others are told, and nothing follows", async () => {
    await started();
    await pulse.stop();
    expect(done.slice(-4)).toEqual(["leave", "drop all", "flush", "close"]);
    const length = done.length;
    hear({ changed: true });
    await Bun.sleep(350);
    expect(done.length).toBe(length);
  });
});
