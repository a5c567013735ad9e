import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { AppError } from "../../src/errors.ts";
import type { IngestEvent } from "../../src/ingest/events.ts";
import { createIngestServer, type IngestServer } from "../../src/ingest/server.ts";
import { connectScanner, newDir, removeDir, type Scanner, scan, until } from "../support/daemon.ts";

/** An ingest server beside a disk that answers when it is told to. */
let dir: string;
let server: IngestServer;
let scanner: Scanner;
let stored: IngestEvent[];
let waiting: ((error: Error | null) => void)[];
let refused: string[];
let faults: unknown[];
let cutOff: number;
let isShort: boolean;
let turnedAway: number;
let begun: number;
/** The store answers once this has resolved. */
let storing: Promise<unknown>;
let known: Set<string>;
let refresh: () => Promise<void>;

const ORGANIZATION = { id: 1, uuid: "one", hasAlerts: true };

const sync = (error: Error | null = null): void => {
  for (const done of waiting.splice(0)) done(error);
};

beforeEach(async () => {
  dir = newDir();
  stored = [];
  waiting = [];
  refused = [];
  faults = [];
  cutOff = 0;
  isShort = false;
  turnedAway = 0;
  begun = 0;
  storing = Promise.resolve();
  known = new Set();
  refresh = async () => {};
  server = createIngestServer({
    path: join(dir, "socket"),
    mode: 0o600,
    maxConnections: 10,
    isShort: () => isShort,
    onTurnedAway: () => {
      turnedAway += 1;
    },
    now: Date.now,
    organizations: {
      find: (uuid) => (uuid === null || known.has(uuid) ? ORGANIZATION : null),
      refresh: () => refresh(),
      refusal: () => new AppError("NOT_FOUND", "organization_id names no organization"),
    },
    store: async (batch) => {
      begun += 1;
      await storing;
      stored.push(...batch);
      return batch.map((_, i) => ({
        id: `${stored.length - batch.length + i}`,
        deliveries: 1,
        duplicate: false,
      }));
    },
    whenDurable: (done) => waiting.push(done),
    makeDurable: () => sync(),
    onRefused: (code) => refused.push(code),
    onCutOff: () => {
      cutOff += 1;
    },
    onFault: (error) => faults.push(error),
  });
  await server.start();
  scanner = await connectScanner(join(dir, "socket"));
});
afterEach(async () => {
  scanner.close();
  await server.stop();
  removeDir(dir);
});

const isStored = (count: number) => until(`${count} are stored`, () => stored.length === count);

test("who comes while no descriptor is left, or is one too many, is told to come again, and the others go on", async () => {
  isShort = true;
  const late = await connectScanner(join(dir, "socket"));
  await until("it is turned away", () => turnedAway === 1);
  await until("it is told", () => late.acks.length === 1);
  expect(late.acks).toMatchObject([{ ok: false, error: { code: "UNAVAILABLE" } }]);
  isShort = false;
  const more = await Promise.all(Array.from({ length: 10 }, () => connectScanner(join(dir, "socket"))));
  await until("the tenth more is turned away", () => turnedAway === 2);
  expect(server.connections()).toBe(10);
  for (const one of [late, ...more]) one.close();
});

test("an event is acked once it is on disk, not before", async () => {
  const acks = scanner.send(scan());
  await isStored(1);
  await Bun.sleep(50);
  expect(scanner.acks).toEqual([]);
  sync();
  expect(await acks).toEqual([{ ok: true, id: "0", deliveries: 1 }]);
});

test("a refusal is not sent before the acks of earlier lines", async () => {
  const first = scanner.send(scan());
  await isStored(1);
  scanner.socket.write("nonsense\n");
  await Bun.sleep(50);
  expect(scanner.acks).toEqual([]);
  sync();
  await first;
  await until("the refusal has its turn", () => {
    sync();
    return scanner.acks.length === 2;
  });
  expect(scanner.acks.map(({ ok }) => ok)).toEqual([true, false]);
});

test("a few lines are stored at once while the disk is waited for", async () => {
  for (let sent = 1; sent <= 5; sent += 1) {
    scanner.socket.write(`${JSON.stringify(scan())}\n`);
    await isStored(sent);
  }
  expect(waiting).toHaveLength(5);
  sync();
  await until("all are acked", () => scanner.acks.length === 5);
});

test("when many wait for the disk, much is stored meanwhile, little is not", async () => {
  const lines = (count: number) => `${JSON.stringify(scan())}\n`.repeat(count);
  // Fewer bytes than are worth a transaction of their own.
  scanner.socket.write(lines(70));
  await isStored(70);
  scanner.socket.write(lines(1));
  await Bun.sleep(50);
  expect(stored).toHaveLength(70);
  scanner.socket.write(lines(500));
  await until("most are stored", () => stored.length > 400);
  expect(scanner.acks).toEqual([]);
  await until("all are acked", () => {
    sync();
    return scanner.acks.length === 571;
  });
  expect(scanner.acks.map(({ id }) => id)).toEqual(stored.map((_, i) => `${i}`));
});

test("what waits for the disk is limited", async () => {
  const line = `${JSON.stringify(scan())}\n`;
  const count = 30_000;
  scanner.socket.write(line.repeat(count));
  await until("the limit is reached", () => stored.length >= 8 * 1024);
  await Bun.sleep(100);
  expect(stored.length).toBeLessThan(10 * 1024);
  await until("all are acked", () => {
    sync();
    return scanner.acks.length === count;
  });
});

test("what may not be on disk is answered UNAVAILABLE, and refusals stay what they are", async () => {
  const acks = scanner.send(scan(), "nonsense", scan());
  await isStored(2);
  sync(new Error("EIO"));
  expect((await acks).map(({ error }) => error?.code)).toEqual([
    "UNAVAILABLE",
    "VALIDATION_ERROR",
    "UNAVAILABLE",
  ]);
  expect(refused.toSorted()).toEqual(["UNAVAILABLE", "UNAVAILABLE", "VALIDATION_ERROR"]);
  expect(faults).toHaveLength(1);
});

describe("while a store takes its time", () => {
  let store: () => void;
  beforeEach(() => {
    ({ promise: storing, resolve: store } = Promise.withResolvers());
  });

  test("one batch at a time is with it, and acks keep the order of the lines", async () => {
    scanner.socket.write(`${JSON.stringify(scan())}\n`);
    await until("the first is with the store", () => begun === 1);
    scanner.socket.write(`nonsense\n${JSON.stringify(scan())}\n`);
    await Bun.sleep(50);
    expect([begun, scanner.acks.length]).toEqual([1, 0]);
    store();
    await isStored(2);
    sync();
    await until("all are answered", () => scanner.acks.length === 3);
    expect(scanner.acks.map(({ ok }) => ok)).toEqual([true, false, true]);
  });

  test("who has ended its side still gets its ack", async () => {
    scanner.socket.end(`${JSON.stringify(scan())}\n`);
    await until("it is with the store", () => begun === 1);
    await Bun.sleep(50);
    expect(scanner.socket.readableEnded).toBe(false);
    store();
    await isStored(1);
    sync();
    await until("it is acked", () => scanner.acks.length === 1);
  });

  test("stopping waits for it", async () => {
    const acks = scanner.send(scan());
    await until("it is with the store", () => begun === 1);
    const stopped = server.stop();
    await Bun.sleep(20);
    store();
    await stopped;
    expect(await acks).toEqual([{ ok: true, id: "0", deliveries: 1 }]);
  });
});

describe("an event of an organization that is not known", () => {
  const NEW = "7f1b2c3d-0000-4000-8000-000000000000";
  const UNKNOWN = "7f1b2c3d-0000-4000-8000-000000000001";

  test("is stored when the organization was made a moment ago, and refused when there is none", async () => {
    refresh = async () => {
      await Bun.sleep(20);
      known.add(NEW);
    };
    const acks = scanner.send(
      scan(),
      scan({ organization_id: UNKNOWN }),
      scan({ organization_id: NEW }),
      "nonsense",
    );
    await isStored(2);
    sync();
    expect((await acks).map(({ error }) => error?.code)).toEqual([
      undefined,
      "NOT_FOUND",
      undefined,
      "VALIDATION_ERROR",
    ]);
    expect(refused).toEqual(["VALIDATION_ERROR", "NOT_FOUND"]);
  });

  test("is answered UNAVAILABLE while nobody can tell, and the others are stored", async () => {
    refresh = () => Promise.reject(new Error("away"));
    const acks = scanner.send(scan({ organization_id: NEW }), scan());
    await isStored(1);
    sync();
    expect((await acks).map(({ ok, error }) => error?.code ?? ok)).toEqual(["UNAVAILABLE", true]);
    expect([faults.length, refused]).toEqual([1, ["UNAVAILABLE"]]);
  });
});

test("who has ended its side gets its acks before the connection is closed", async () => {
  const ended = new Promise((resolve) => scanner.socket.once("end", resolve));
  scanner.socket.end(`${JSON.stringify(scan())}\n`);
  await isStored(1);
  await Bun.sleep(50);
  expect(scanner.socket.readableEnded).toBe(false);
  sync();
  await ended;
  expect(scanner.acks).toEqual([{ ok: true, id: "0", deliveries: 1 }]);
});

test("who goes without waiting for its acks takes nothing with it", async () => {
  scanner.socket.write(`${JSON.stringify(scan())}\n`);
  await isStored(1);
  scanner.close();
  await until("it has gone", () => server.connections() === 0);
  sync();
  const next = await connectScanner(join(dir, "socket"));
  const acks = next.send(scan());
  await isStored(2);
  sync();
  expect(await acks).toMatchObject([{ ok: true }]);
  next.close();
});

describe("a last line without a newline", () => {
  const line = JSON.stringify(scan());

  test("counts when the scanner closes its side in order, and is acked", async () => {
    scanner.socket.end(`${line}\n${line}`);
    await isStored(2);
    await Bun.sleep(20);
    expect(scanner.socket.readableEnded).toBe(false);
    sync();
    await until("both are acked", () => scanner.acks.length === 2);
    await until("the connection is closed", () => scanner.socket.readableEnded);
    expect({ acks: scanner.acks.map(({ ok }) => ok), cutOff }).toEqual({ acks: [true, true], cutOff: 0 });
  });

  test("counts when it came in parts, long before the end", async () => {
    scanner.socket.write(line.slice(0, 20));
    await Bun.sleep(20);
    scanner.socket.write(line.slice(20));
    await Bun.sleep(20);
    expect(stored).toHaveLength(0);
    scanner.socket.end();
    await isStored(1);
  });

  test("is forgotten when it is not whole, and that is told", async () => {
    scanner.socket.end(`${line}\n${line.slice(0, -1)}`);
    await isStored(1);
    sync();
    await until("the connection is closed", () => scanner.socket.readableEnded);
    expect({ acks: scanner.acks.length, stored: stored.length, cutOff }).toEqual({
      acks: 1,
      stored: 1,
      cutOff: 1,
    });
  });

  test("is refused like any other when it is no event", async () => {
    scanner.socket.end('{"tier":"purple"}');
    await until("it is refused", () => scanner.acks.length === 1);
    expect(scanner.acks[0]?.error?.code).toBe("VALIDATION_ERROR");
  });

  test("is refused like any other when it is too long", async () => {
    scanner.socket.end("x".repeat(256 * 1024 + 1));
    await until("it is refused", () => scanner.acks.length === 1);
    expect(scanner.acks[0]?.error?.code).toBe("PAYLOAD_TOO_LARGE");
  });

  test("is forgotten when the connection is cut, and that is told; whole lines before it stay", async () => {
    scanner.socket.write(`${line}\n${line}`);
    await isStored(1);
    scanner.close();
    await until("it is told", () => cutOff === 1);
    await Bun.sleep(20);
    expect(stored).toHaveLength(1);
  });

  test("counts while the server is stopped", async () => {
    scanner.socket.end(line);
    await until("its end is there", () => scanner.socket.writableFinished);
    await Bun.sleep(20);
    await server.stop();
    await until("it is acked", () => scanner.acks.length === 1);
  });
});

test("whole lines and then an end, or a cut, leave nothing to tell", async () => {
  const acks = scanner.send(scan());
  await isStored(1);
  sync();
  await acks;
  scanner.close();
  await until("it has gone", () => server.connections() === 0);
  expect(cutOff).toBe(0);
});

test("a byte order mark before the first line is skipped, in whatever parts it comes", async () => {
  const bytes = Buffer.from(`\uFEFF${JSON.stringify(scan())}\n\uFEFF${JSON.stringify(scan())}\n`);
  for (const at of [0, 1, 2, 3]) {
    scanner.socket.write(bytes.subarray(at, at + 1));
    await Bun.sleep(5);
  }
  scanner.socket.write(bytes.subarray(4));
  await isStored(1);
  await until("the second is refused", () => refused.length === 1);
  expect(refused).toEqual(["VALIDATION_ERROR"]);
});

test("stopping answers what was read", async () => {
  const acks = scanner.send(scan());
  await isStored(1);
  await server.stop();
  expect(await acks).toEqual([{ ok: true, id: "0", deliveries: 1 }]);
});
