import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { isStoreFault } from "../../../src/store/faults.ts";
import { openDatabase } from "../../../src/store/sqlite/database.ts";
import { getMeta, setMeta } from "../../../src/store/sqlite/meta.ts";
import { createWalSync, type Durable, type WalSync } from "../../../src/store/sqlite/wal-sync.ts";
import { newDir, removeDir, until } from "../../support/daemon.ts";

let dir: string;
beforeEach(() => {
  dir = newDir();
});
afterEach(() => removeDir(dir));

describe("the sync of the log", () => {
  let path: string;
  let log: WalSync;
  let called: string[];
  const noting =
    (name: string): Durable =>
    (error) =>
      called.push(error ? `${name} failed` : name);

  beforeEach(() => {
    path = join(dir, "log");
    log = createWalSync(path);
    called = [];
  });
  afterEach(() => log.close());

  test("calls back later, each once, in the order of the requests", async () => {
    writeFileSync(path, "rows");
    for (const name of ["a", "b", "c"]) log.request(noting(name));
    expect(called).toEqual([]);
    await until("all are called", () => called.length === 3);
    log.request(noting("d"));
    await until("the last one is called", () => called.length === 4);
    expect(called).toEqual(["a", "b", "c", "d"]);
  });

  test("finishes at once when it is told to, and calls nobody again", async () => {
    writeFileSync(path, "rows");
    for (const name of ["a", "b"]) log.request(noting(name));
    log.finish();
    expect(called).toEqual(["a", "b"]);
    log.finish();
    log.request(noting("c"));
    await until("the next one is called", () => called.length === 3);
    expect(called).toEqual(["a", "b", "c"]);
  });

  test("fails all who wait, also who came later, and works again for the next", async () => {
    log.request(noting("a"));
    log.request(noting("b"));
    await until("both are called", () => called.length === 2);
    expect(called).toEqual(["a failed", "b failed"]);
    log.request(noting("c"));
    log.finish();
    expect(called.at(-1)).toBe("c failed");
    writeFileSync(path, "rows");
    log.request(noting("d"));
    await until("the last one is called", () => called.length === 4);
    expect(called.at(-1)).toBe("d");
  });

  test("calls back who has joined with the next request, and makes no call for that alone", async () => {
    writeFileSync(path, "rows");
    log.join(noting("a"));
    await Bun.sleep(20);
    log.finish();
    expect(called).toEqual([]);
    log.request(noting("b"));
    log.join(noting("c"));
    await until("the request is answered", () => called.length === 2);
    await Bun.sleep(20);
    expect(called).toEqual(["a", "b"]);
    log.request(noting("d"));
    await until("all are called", () => called.length === 4);
    expect(called).toEqual(["a", "b", "c", "d"]);
  });

  test("fails who has joined with those who wait", async () => {
    log.request(noting("a"));
    log.join(noting("b"));
    await until("both are called", () => called.length === 2);
    expect(called).toEqual(["a failed", "b failed"]);
    writeFileSync(path, "rows");
    log.request(noting("c"));
    await until("the next one is called", () => called.length === 3);
    expect(called.at(-1)).toBe("c");
  });

  test("may be asked again by who is called", async () => {
    writeFileSync(path, "rows");
    log.request(() => {
      called.push("first");
      log.request(noting("second"));
    });
    await until("both are called", () => called.length === 2);
    expect(called).toEqual(["first", "second"]);
  });
});

describe("a database whose log could not be synced", () => {
  /** Fails the first request only, as the kernel does. */
  const failsOnce = (path: string): WalSync => {
    const real = createWalSync(path);
    let failed = false;
    return {
      ...real,
      request(done) {
        if (failed) return real.request(done);
        failed = true;
        setImmediate(done, new Error("EIO: i/o error"));
      },
    };
  };

  const strike = async () => {
    const dataDir = join(dir, "data");
    const database = openDatabase({ dataDir, syncWal: failsOnce });
    const write = (value: string) =>
      database.transaction("relaxed", () => setMeta(database.orm, "clock", value));
    write("one");
    const error = await new Promise<Error | null>((resolve) => database.whenDurable(resolve));
    return { database, write, error };
  };

  test("says so, and is no longer at fault once all was written again", async () => {
    const { database, write, error } = await strike();
    expect(isStoreFault(error)).toBe(true);
    expect(database.fault()).toContain("EIO");
    write("two");
    expect(database.fault()).toBeNull();
    expect(await new Promise((resolve) => database.whenDurable(resolve))).toBeNull();
    expect(getMeta(database.orm, "clock")).toBe("two");
    database.close();
  });

  test("takes no more until then, whoever reads an older state", async () => {
    const { database, write } = await strike();
    const other = openDatabase({ dataDir: join(dir, "data") });
    other.sqlite.exec("BEGIN");
    expect(getMeta(other.orm, "clock")).toBe("one");
    write("two");
    expect(getMeta(other.orm, "clock")).toBe("one");
    other.sqlite.exec("COMMIT");
    other.close();
    database.close();
  });

  test("takes no more while another program writes", async () => {
    const { database, write } = await strike();
    const other = openDatabase({ dataDir: join(dir, "data") });
    other.sqlite.exec("BEGIN IMMEDIATE");
    expect(() => write("two")).toThrow("cannot write again what a failed sync may have lost");
    expect(database.fault()).not.toBeNull();
    expect(getMeta(database.orm, "clock")).toBe("one");
    other.sqlite.exec("ROLLBACK");
    write("three");
    expect(database.fault()).toBeNull();
    other.close();
    database.close();
  }, 15_000);
});
