import { beforeEach, describe, expect, test } from "bun:test";
import { type Announcer, createAnnouncer } from "../../../src/store/postgres/announcements.ts";
import type { Pool } from "../../../src/store/postgres/pool.ts";

let told: string[];
let isAway: boolean;
let announcer: Announcer;

beforeEach(() => {
  [told, isAway] = [[], false];
  announcer = createAnnouncer({
    query: async (_text: string, [payload]: [string]) => {
      if (isAway) throw new Error("the server is away");
      told.push(payload);
      return Object.assign([], { count: 1 });
    },
  } as unknown as Pool);
});

const heard = () => told.map((payload) => JSON.parse(payload));

describe("what other daemons are told", () => {
  test("is gathered for a moment, each thing once", async () => {
    announcer.tell({ due: [1, 2] });
    announcer.tell({ due: [2, 3], changed: true });
    expect(told).toEqual([]);
    await Bun.sleep(30);
    announcer.tell({ shares: true });
    await Bun.sleep(30);
    expect(heard()).toEqual([{ due: [1, 2, 3], changed: true }, { shares: true }]);
  });

  test("goes in payloads that PostgreSQL takes, however much it is", async () => {
    const due = Array.from({ length: 2_000 }, (_, i) => 9_000_000 + i);
    announcer.tell({ due, changed: true });
    await announcer.flush();
    expect(heard().flatMap((payload) => payload.due)).toEqual(due);
    expect(heard().filter(({ changed }) => changed)).toHaveLength(1);
    for (const payload of told) expect(payload.length).toBeLessThan(8_000);
  });

  test("is nothing when there is nothing, and not told again later when the server was away", async () => {
    await announcer.flush();
    isAway = true;
    announcer.tell({ due: [1] });
    await announcer.flush();
    isAway = false;
    await announcer.flush();
    await Bun.sleep(20);
    expect(told).toEqual([]);
  });
});
