import { beforeEach, describe, expect, spyOn, test } from "bun:test";
import { createMembership, LEASE_MS, type Membership } from "../../../src/store/postgres/members.ts";
import { createPartitions, PARTITIONS, type Partitions } from "../../../src/store/postgres/partitions.ts";
import type { Pool } from "../../../src/store/postgres/pool.ts";

/** What the database answers, by how a statement begins. */
let answers: Record<string, (values: readonly unknown[]) => Record<string, unknown>[] | number>;
let asked: [string, readonly unknown[]][];
const pool = {
  query: async (text: string, values: readonly unknown[] = []) => {
    asked.push([text, values]);
    const name = Object.keys(answers).find((start) => text.startsWith(start));
    const answer = name ? answers[name]?.(values) : 0;
    const rows = typeof answer === "number" ? [] : (answer ?? []);
    return Object.assign(rows, { count: typeof answer === "number" ? answer : rows.length });
  },
} as unknown as Pool;

beforeEach(() => {
  asked = [];
  answers = { "INSERT INTO daemons": () => [{ number: 4 }], "UPDATE daemons SET beat_at": () => 1 };
});

describe("a daemon among others", () => {
  let membership: Membership;
  let numbers: number[];

  beforeEach(() => {
    numbers = [];
    membership = createMembership(pool, (number) => numbers.push(number));
  });

  test("is nobody before it has joined; then it has a number, and its lease holds", async () => {
    expect([membership.id(), membership.isAlive(), await membership.beat()]).toEqual([null, false, "late"]);
    await membership.join();
    expect(membership.id()).toBeString();
    expect([membership.isAlive(), numbers]).toEqual([true, [4]]);
    expect(await membership.beat()).toBe("alive");
  });

  test("tries again when another took its number, and gives up when there is none", async () => {
    let tries = 0;
    answers["INSERT INTO daemons"] = () => (++tries < 3 ? [] : [{ number: 9 }]);
    await membership.join();
    expect([tries, numbers]).toEqual([3, [9]]);
    answers["INSERT INTO daemons"] = () => [];
    await expect(createMembership(pool, () => {}).join()).rejects.toThrow("no number is free");
  });

  test("whose sign of life came too late is dead, and another one when it joins again", async () => {
    await membership.join();
    const first = membership.id();
    answers["UPDATE daemons SET beat_at"] = () => 0;
    expect(await membership.beat()).toBe("late");
    expect([membership.id(), membership.isAlive()]).toEqual([null, false]);
    await membership.join();
    expect(membership.id()).not.toBe(first);
  });

  test("reckons its lease from before the question: a slow answer leaves less of it", async () => {
    answers["INSERT INTO daemons"] = () => {
      Bun.sleepSync(30);
      return [{ number: 1 }];
    };
    const before = performance.now();
    await membership.join();
    const real = performance.now;
    try {
      performance.now = () => before + 0.8 * LEASE_MS - 20;
      expect(membership.isAlive()).toBe(true);
      performance.now = () => before + 0.8 * LEASE_MS + 20;
      expect(membership.isAlive()).toBe(false);
    } finally {
      performance.now = real;
    }
  });

  test("says that it had counted as dead by its own clock, also when its time ran out during the question", async () => {
    await membership.join();
    const start = performance.now();
    let passed = 0;
    const shift = spyOn(performance, "now").mockImplementation(() => start + passed);
    try {
      passed = 0.8 * LEASE_MS + 20;
      expect(membership.isAlive()).toBe(false);
      expect(await membership.beat()).toBe("revived");
      expect(await membership.beat()).toBe("alive");
      answers["UPDATE daemons SET beat_at"] = () => {
        passed += 0.8 * LEASE_MS + 20;
        return 1;
      };
      passed += 1_500;
      expect(membership.isAlive()).toBe(true);
      expect(await membership.beat()).toBe("revived");
    } finally {
      shift.mockRestore();
    }
  });

  test("leaves once", async () => {
    await membership.join();
    const id = membership.id();
    await membership.leave();
    await membership.leave();
    const left = asked.filter(([text]) => text.includes("WHERE id = $1") && text.startsWith("DELETE"));
    expect(left.map(([, values]) => values)).toEqual([[id]]);
  });
});

describe("the shares of a daemon", () => {
  let alive: boolean;
  let owner: string | null;
  let busy: Set<number>;
  let events: string[];
  let partitions: Partitions;

  beforeEach(() => {
    [alive, owner, busy, events] = [true, "me", new Set(), []];
    partitions = createPartitions({
      pool,
      membership: { id: () => owner, isAlive: () => alive } as Membership,
      isBusy: (partition) => busy.has(partition),
      watchers: { gained: () => events.push("gained"), lost: () => events.push("lost") },
    });
    shared(1, PARTITIONS);
  });

  const shared = (senders: number, free: number): void => {
    answers["SELECT (SELECT count"] = () => [{ senders, free }];
    answers["UPDATE partitions SET owner = $1"] = ([, limit]) =>
      Array.from({ length: Math.min(free, Number(limit)) }, (_, id) => ({ id, epoch: 7 }));
  };

  test("are all of them for one alone; it may send in their epoch while its lease holds", async () => {
    expect(partitions.epochFor(3)).toBeNull();
    await partitions.balance();
    expect([partitions.count(), partitions.epochFor(3), partitions.epochFor(259)]).toEqual([256, 7, 7]);
    expect(events).toEqual(["gained"]);
    alive = false;
    expect(partitions.epochFor(3)).toBeNull();
  });

  test("are given up when others come: nothing of them begins, and those with something under way wait for its end", async () => {
    await partitions.balance();
    for (let id = 0; id < 100; id += 1) busy.add(id);
    shared(2, 0);
    await partitions.balance();
    expect([partitions.ids().length, partitions.isDraining(), events]).toEqual([
      128,
      true,
      ["gained", "lost"],
    ]);
    // Enough have nothing under way: none of the others is chosen.
    expect(partitions.ids().filter((id) => busy.has(id))).toHaveLength(100);
    expect(await partitions.giveDrained()).toBe(true);
    expect([partitions.count(), partitions.isDraining(), await partitions.giveDrained()]).toEqual([
      128,
      false,
      false,
    ]);
    shared(8, 0);
    await partitions.balance();
    expect(partitions.ids()).toHaveLength(32);
    await partitions.giveDrained();
    // What is under way keeps its partition until it has ended.
    expect(partitions.count()).toBeGreaterThan(32);
    busy.clear();
    await partitions.giveDrained();
    expect(partitions.count()).toBe(32);
  });

  test("are no more than is fair, and none that is not free", async () => {
    shared(3, 10);
    await partitions.balance();
    expect(partitions.count()).toBe(10);
    const [, values] = asked.at(-1) as [string, unknown[]];
    expect(values).toEqual(["me", 86]);
  });

  test("that came under a name which is no longer its own are not its own", async () => {
    const take = answers["UPDATE partitions SET owner = $1"] as (values: readonly unknown[]) => [];
    answers["UPDATE partitions SET owner = $1"] = (values) => {
      owner = "another";
      return take(values);
    };
    await partitions.balance();
    expect([partitions.count(), events]).toEqual([0, []]);
  });

  test("are gone at once with the lease, told once", async () => {
    await partitions.balance();
    partitions.dropAll();
    partitions.dropAll();
    expect([partitions.count(), partitions.epochFor(1), events]).toEqual([0, null, ["gained", "lost"]]);
    owner = null;
    await partitions.balance();
    expect(partitions.count()).toBe(0);
  });
});
