import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Connection } from "../../src/delivery/http/connection.ts";
import { createPool, type Pool, type Pooled } from "../../src/delivery/http/pool.ts";

const IDLE_MS = 5_000;

let destroyed: string[];
let pool: Pool<string>;

beforeEach(() => {
  destroyed = [];
  pool = createPool(3, IDLE_MS);
});
afterEach(() => pool.close());

function pooled(name: string, key = "a", alive = true): Pooled<string> & { name: string } {
  const connection = { alive, destroy: () => destroyed.push(name) } as Partial<Connection>;
  return { name, key, connection: connection as Connection, exchange: null, expiresAt: 0 };
}

/** Puts idle connections in, named, all to one place. */
function put(...names: string[]): Pooled<string>[] {
  const made = names.map((name) => pooled(name));
  for (const one of made) pool.put(one, null);
  return made;
}

const take = (key = "a", now = performance.now()) =>
  (pool.take(key, now) as (Pooled<string> & { name: string }) | null)?.name ?? null;

describe("idle connections", () => {
  test("are given to their own place only, the latest used first, each once", () => {
    put("one", "two");
    pool.put(pooled("three", "b"), null);
    expect([take("b"), take(), take(), take(), take("b")]).toEqual(["three", "two", "one", null, null]);
    expect([pool.size(), destroyed]).toEqual([0, []]);
  });

  test("over the limit give way, the one that has idled longest, wherever it leads", () => {
    put("one", "two");
    pool.put(pooled("three", "b"), null);
    put("four");
    expect([pool.size(), destroyed]).toEqual([3, ["one"]]);
    expect(take()).toBe("four");
    expect(pool.closeOldest()).toBe(true);
    expect(destroyed).toEqual(["one", "two"]);
    expect([take(), take("b"), pool.closeOldest()]).toEqual([null, "three", false]);
  });

  test("that have ended by themselves are forgotten, from the middle too", () => {
    const [, two] = put("one", "two", "three");
    pool.remove(two as Pooled<string>);
    pool.remove(two as Pooled<string>);
    expect([pool.size(), take(), take(), take(), destroyed]).toEqual([2, "three", "one", null, []]);
  });

  test("are not kept when they ended before they came back", () => {
    pool.put(pooled("one", "a", false), null);
    expect([pool.size(), destroyed]).toEqual([0, []]);
  });

  test.each<[string, number | null, number]>([
    ["as long as we keep them, when a receiver says nothing", null, IDLE_MS],
    ["as long as we keep them, when a receiver keeps them longer", 60_000, IDLE_MS],
    ["a second less than a receiver keeps them", 3_000, 2_000],
  ])("are used %s", (_, keepAliveMs, idleMs) => {
    pool.put(pooled("one"), keepAliveMs);
    const end = performance.now() + idleMs;
    pool.put(pooled("two"), keepAliveMs);
    expect(take("a", end - 50)).toBe("two");
    expect(take("a", end + 50)).toBeNull();
    expect([destroyed, pool.size()]).toEqual([["one"], 0]);
  });

  test("that a receiver keeps for no longer than a second are closed at once", () => {
    pool.put(pooled("one"), 1_000);
    expect([pool.size(), destroyed]).toEqual([0, ["one"]]);
  });

  test("are closed by themselves once their time is over", async () => {
    pool.put(pooled("one"), 1_010);
    put("two");
    await Bun.sleep(1_100);
    expect([destroyed, pool.size()]).toEqual([["one"], 1]);
  });

  test("are all closed at the end", () => {
    put("one", "two");
    pool.close();
    expect([destroyed, pool.size()]).toEqual([["one", "two"], 0]);
  });
});
