import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { openDatabase, type StoreDatabase } from "../../../src/store/sqlite/database.ts";
import { createExternalIds, type ExternalIds } from "../../../src/store/sqlite/external-ids.ts";
import { createRecentIds } from "../../../src/store/sqlite/recent-ids.ts";
import { createRunFilter, RUNS_IN_FILTER } from "../../../src/store/sqlite/run-filter.ts";
import { newDir, removeDir } from "../../support/daemon.ts";

const RUN_SIZE = 64;

let dir: string;
let database: StoreDatabase;
let ids: ExternalIds;
let lastId: number;

const open = (): void => {
  database = openDatabase({ dataDir: join(dir, "data") });
  ids = createExternalIds(database, { runSize: RUN_SIZE });
  ids.load();
};

beforeEach(() => {
  dir = newDir();
  lastId = 0;
  open();
  for (const uuid of ["a", "b"]) {
    database.sqlite
      .query("INSERT INTO organizations (uuid, name, plan, created_at) VALUES (?, 'acme', 'pro', 1)")
      .run(uuid);
  }
});
afterEach(() => {
  database.close();
  removeDir(dir);
});

const restart = (): void => {
  database.close();
  open();
};

/** Stores events as insertEvents does, in one transaction; answers the earlier event of each, or null. */
function store(externalIds: readonly string[], organizationId = 1): (number | null)[] {
  const insert = database.sqlite.query(
    "INSERT INTO events (id, organization_id, external_id, type, body, received_at) VALUES (?, ?, ?, 2, '{}', 1)",
  );
  const claim = (externalId: string): number | null => {
    lastId += 1;
    const first = ids.claim({ id: lastId, organizationId, externalId });
    if (first === null) insert.run(lastId, organizationId, externalId);
    return first;
  };
  return database.transaction("durable", () => externalIds.map(claim), [ids]);
}

const numbered = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `scan-${from + i}`);

const count = (table: string): number =>
  database.sqlite.query<{ n: number }, []>(`SELECT count(*) AS n FROM ${table}`).get()?.n ?? 0;

describe("the scanners' ids", () => {
  test("an id that came before answers its event: in the same batch, in memory, in a run, after a restart", () => {
    expect(store(["a", "b", "a"])).toEqual([null, null, 1]);
    expect(store(["b"])).toEqual([2]);
    expect(store(numbered(0, RUN_SIZE))).toEqual(Array(RUN_SIZE).fill(null));
    expect(count("external_id_runs")).toBe(1);
    expect(store(["a", "b", "scan-0", "new"])).toEqual([1, 2, 5, null]);
    restart();
    expect(store(["a", "b", "scan-63", "new"])).toEqual([1, 2, 68, 72]);
  });

  test("every one of thousands is found, over many runs and filters, and no other is taken for one", () => {
    const total = RUN_SIZE * (RUNS_IN_FILTER * 2 + 3) + 7;
    for (let from = 0; from < total; from += 50) store(numbered(from, Math.min(50, total - from)));
    expect(count("external_id_filters")).toBeGreaterThan(0);
    const eventOf = new Map(
      database.sqlite
        .query<{ id: number; name: string }, []>("SELECT id, external_id AS name FROM events")
        .all()
        .map(({ id, name }) => [name, id]),
    );
    expect(eventOf.size).toBe(total);
    for (const again of [false, true]) {
      if (again) restart();
      const names = numbered(0, total);
      expect(store(names)).toEqual(names.map((name) => eventOf.get(name) ?? null));
    }
    expect(store(numbered(total, 1_000))).toEqual(Array(1_000).fill(null));
  });

  test("the same id in two organizations is two ids", () => {
    store(["a"], 1);
    expect(store(["a"], 2)).toEqual([null]);
    expect(store(["a"], 1)).toEqual([1]);
    expect(store(["a"], 2)).toEqual([2]);
  });

  test("what was rolled back was never claimed", () => {
    store(["kept"]);
    const claimed = lastId + 1;
    const run = () => {
      for (const [i, externalId] of numbered(0, RUN_SIZE * 3).entries()) {
        ids.claim({ id: claimed + i, organizationId: 1, externalId });
      }
      throw new Error("no room");
    };
    expect(() => database.transaction("durable", run, [ids])).toThrow("no room");
    lastId = claimed + RUN_SIZE * 3;
    expect(store(["kept", ...numbered(0, 3)])).toEqual([1, null, null, null]);
    expect(count("external_id_runs")).toBe(0);
  });

  test("a run that could not be written is written later, and nothing is lost meanwhile", () => {
    const refuse = `CREATE TRIGGER refuse BEFORE INSERT ON external_id_runs BEGIN SELECT RAISE(ABORT, 'no'); END`;
    store(numbered(0, RUN_SIZE - 1));
    database.sqlite.exec(refuse);
    // A constraint is a fault of ours and is told; SQLite's own faults are not.
    expect(() => store(["last"])).toThrow("no");
    database.sqlite.exec("DROP TRIGGER refuse");
    expect(store(["last", "more", "scan-0"])).toEqual([64, null, 1]);
    expect(count("external_id_runs")).toBe(1);
    restart();
    expect(store(["last", "more"])).toEqual([64, 66]);
  });

  test("an event that is gone gives its id back, and a run without events goes", () => {
    store(numbered(0, RUN_SIZE));
    store(numbered(100, RUN_SIZE));
    expect(ids.dropOldRun()).toBe(false);
    database.sqlite.exec("DELETE FROM events WHERE id <= 10");
    expect(store(["scan-3"])).toEqual([null]);
    expect(ids.dropOldRun()).toBe(false);
    database.sqlite.exec(`DELETE FROM events WHERE id <= ${RUN_SIZE}`);
    expect([ids.dropOldRun(), ids.dropOldRun()]).toEqual([true, false]);
    expect([count("external_id_runs"), count("external_id_buckets")]).toEqual([1, 256]);
    expect(store(["scan-20", "scan-100", "scan-3"])).toEqual([null, RUN_SIZE + 1, RUN_SIZE * 2 + 1]);
    restart();
    expect(store(["scan-20", "scan-100", "scan-3"])).toEqual([
      RUN_SIZE * 2 + 2,
      RUN_SIZE + 1,
      RUN_SIZE * 2 + 1,
    ]);
  });

  test("a filter goes with its last run", () => {
    for (let run = 0; run < RUNS_IN_FILTER + 1; run += 1) store(numbered(run * RUN_SIZE, RUN_SIZE));
    expect(count("external_id_filters")).toBe(1);
    database.sqlite.exec(`DELETE FROM events WHERE id <= ${RUNS_IN_FILTER * RUN_SIZE}`);
    for (let run = 0; run < RUNS_IN_FILTER; run += 1) expect(ids.dropOldRun()).toBe(true);
    expect(ids.dropOldRun()).toBe(false);
    expect(count("external_id_filters")).toBe(0);
    const last = RUNS_IN_FILTER * RUN_SIZE;
    expect(store([`scan-${last}`, "scan-0"])).toEqual([last + 1, null]);
  });

  test("a database of an older version, which had an index instead, is taken over at its first start", () => {
    const insert = database.sqlite.query(
      "INSERT INTO events (id, organization_id, external_id, type, body, received_at) VALUES (?, 1, ?, 2, '{}', 1)",
    );
    for (const [i, name] of numbered(0, RUN_SIZE * 3 + 5).entries()) insert.run(i + 1, name);
    lastId = RUN_SIZE * 3 + 5;
    restart();
    expect(store(["scan-0", "scan-100", "scan-196", "new"])).toEqual([1, 101, 197, null]);
  });
});

describe("the filter of runs", () => {
  test("names every run that holds a hash, and one that does not hold it once in a few thousand", () => {
    const filter = createRunFilter();
    const hash = (i: number): number => Number(Bun.hash.xxHash3(`id-${i}`) & 0xffffffffn);
    const perRun = 49_152;
    for (let i = 0; i < perRun * 2; i += 1) filter.add(i < perRun ? 0 : 31, hash(i));
    let missed = 0;
    for (let i = 0; i < perRun * 2; i += 1) {
      const bit = i < perRun ? 1 : 1 << 31;
      if ((filter.runsOf(hash(i)) & bit) === 0) missed += 1;
    }
    expect(missed).toBe(0);
    let inVain = 0;
    for (let i = 0; i < perRun; i += 1) if (filter.runsOf(hash(perRun * 2 + i)) !== 0) inVain += 1;
    // One in 5,000 is expected of two runs.
    expect(inVain).toBeLessThan(40);
  });
});

describe("recent ids", () => {
  test("ids that share a hash, or a slot, are told apart", () => {
    const recent = createRecentIds();
    for (let i = 0; i < 5_000; i += 1) recent.add(i % 10, i + 1);
    expect(recent.find(3, (id) => id === 4_994)).toBe(4_994);
    expect(recent.find(3, (id) => id === 4_995)).toBeNull();
    recent.truncate(100);
    expect(recent.find(3, (id) => id === 4_994)).toBeNull();
    expect(recent.find(3, (id) => id === 94)).toBe(94);
  });
});
