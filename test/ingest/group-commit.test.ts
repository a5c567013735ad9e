import { beforeEach, describe, expect, test } from "bun:test";
import { AppError } from "../../src/errors.ts";
import { createAcks } from "../../src/ingest/acks.ts";
import { createBatchReader } from "../../src/ingest/batch.ts";
import type { Connection } from "../../src/ingest/client.ts";
import type { IngestEvent, StoredScan } from "../../src/ingest/events.ts";
import { createGroupCommit, type GroupCommit } from "../../src/ingest/group-commit.ts";
import { scan } from "../support/daemon.ts";
import { type BareConnection, connectionOf, say } from "../support/ingest.ts";

const ORGANIZATION = { id: 1, uuid: "one", hasAlerts: true };
const acks = createAcks();

/** Batches that the store was given: the scanners' ids. Each ends when the test says so. */
let batches: string[][];
let endStoring: ((fails?: Error) => void)[];
/** Those who wait for the disk, and what each would be told. */
let syncs: ((error: Error | null) => void)[];
let answers: string[];
let taken: string[];
let refused: string[];
let faults: unknown[];
let moves: number;
let queued: number;
let known: boolean;
let waiting: Set<Connection>;
let commit: GroupCommit;

beforeEach(() => {
  [batches, endStoring, syncs, answers, taken, refused, faults] = [[], [], [], [], [], [], []];
  [moves, queued, known] = [0, 0, true];
  waiting = new Set();
  commit = createGroupCommit({
    waiting,
    acks,
    reader: createBatchReader({
      now: () => 1_000,
      organizations: {
        find: () => (known ? ORGANIZATION : null),
        refresh: async () => {
          known = true;
        },
        refusal: () => new AppError("NOT_FOUND", "organization_id names no organization"),
      },
      acks,
      onRefused: (code) => refused.push(code),
      onCutOff: () => {},
      onFault: (error) => faults.push(error),
    }),
    store: (events) => {
      batches.push(events.map(({ scan: { externalId } }) => String(externalId)));
      return new Promise((resolve, reject) =>
        endStoring.push((error) => (error ? reject(error) : resolve(storedOf(events)))),
      );
    },
    whenDurable: (done) => syncs.push(done),
    queued: () => queued,
    onTaken: (socket) => taken.push(nameOf(socket)),
    onAnswer: (socket, text) => answers.push(`${nameOf(socket)}: ${shown(text)}`),
    onMoved: () => {
      moves += 1;
    },
    onRefused: (code) => refused.push(code),
    onFault: (error) => faults.push(error),
  });
});

const nameOf = (socket: Connection): string => (socket as Connection & BareConnection).name;

function storedOf(events: readonly IngestEvent[]): StoredScan[] {
  return events.map(({ scan: { externalId } }) => ({
    id: String(externalId),
    deliveries: 1,
    duplicate: false,
  }));
}

/** Acks in short: the id of what was stored, or why it was not. */
function shown(text: string): string {
  const lines = text.trimEnd().split("\n");
  return lines
    .map((line) => JSON.parse(line))
    .map((ack) => ack.id ?? ack.error.code)
    .join(" ");
}

const lineOf = (id: string): string => `${JSON.stringify(scan({ id }))}\n`;

/** Has lines of a connection wait for their turn; what is no id of an event is a line that is none. */
function send(socket: Connection, ...ids: string[]): void {
  say(socket, ids.map((id) => (id === "nonsense" ? "nonsense\n" : lineOf(id))).join(""));
  waiting.add(socket);
  commit.schedule();
}

const soon = () => Bun.sleep(5);

async function endOfStore(error?: Error): Promise<void> {
  endStoring.shift()?.(error);
  await soon();
}

/** The disk has all that it was asked for so far. */
function sync(error: Error | null = null): void {
  for (const done of syncs.splice(0)) done(error);
}

describe("a group commit", () => {
  test("stores together what waits at the end of the turn, and answers once it is on disk", async () => {
    const [one, two] = [connectionOf("one"), connectionOf("two")];
    send(one, "a", "b");
    send(two, "c");
    expect(batches).toEqual([]);
    await soon();
    expect([batches, taken, syncs.length]).toEqual([[["a", "b", "c"]], ["one", "two"], 0]);
    expect([one.data.unanswered, two.data.unanswered]).toEqual([1, 1]);
    await endOfStore();
    expect([answers, syncs.length, moves]).toEqual([[], 1, 1]);
    sync();
    expect(answers).toEqual(["one: a b", "two: c"]);
    expect([one.data.unanswered, two.data.unanswered, moves]).toEqual([0, 0, 2]);
  });

  test("has one batch with the store at a time; what comes meanwhile shares the next", async () => {
    const [one, two] = [connectionOf("one"), connectionOf("two")];
    send(one, "a");
    await soon();
    send(two, "b");
    send(one, "c");
    send(two, "d");
    await soon();
    expect(batches).toEqual([["a"]]);
    await endOfStore();
    expect(batches).toEqual([["a"], ["b", "d", "c"]]);
    await endOfStore();
    sync();
    expect(answers).toEqual(["one: a", "two: b d", "one: c"]);
  });

  test("stores on while a few lines wait for the disk, and answers in the order of the lines", async () => {
    const one = connectionOf("one");
    send(one, "a");
    await soon();
    await endOfStore();
    send(one, "b");
    await soon();
    await endOfStore();
    expect([batches, syncs.length, one.data.unanswered]).toEqual([[["a"], ["b"]], 2, 2]);
    sync();
    expect(answers).toEqual(["one: a", "one: b"]);
  });

  test("stores little only with what comes until the disk has what was stored before", async () => {
    const one = connectionOf("one");
    send(one, ...Array.from({ length: 64 }, (_, n) => `a${n}`));
    await soon();
    await endOfStore();
    send(one, "b");
    await soon();
    expect(batches).toHaveLength(1);
    queued = 16 * 1024;
    commit.schedule();
    await soon();
    expect(batches.slice(1)).toEqual([["b"]]);
    queued = 0;
    await endOfStore();
    send(one, "c");
    await soon();
    expect(batches).toHaveLength(2);
    sync();
    await soon();
    expect(batches.slice(2)).toEqual([["c"]]);
  });

  test("stores nothing more while very much waits for the disk", async () => {
    queued = 1_000_000;
    const one = connectionOf("one");
    const ids = Array.from({ length: 8 * 1024 }, (_, n) => `a${n}`);
    send(one, ...ids, "last");
    for (let n = 0; n < 9; n += 1) {
      await soon();
      await endOfStore();
    }
    expect(batches.flat()).toEqual(ids);
    expect([...waiting]).toEqual([one]);
    sync();
    await soon();
    expect(batches.at(-1)).toEqual(["last"]);
  });
});

describe("what cannot be stored", () => {
  test("is answered so, in its place, and told; what comes later is stored", async () => {
    const one = connectionOf("one");
    send(one, "a", "nonsense", "b");
    await soon();
    await endOfStore(new Error("disk full"));
    expect([answers, syncs.length]).toEqual([["one: UNAVAILABLE VALIDATION_ERROR UNAVAILABLE"], 0]);
    expect(faults).toEqual([new Error("disk full")]);
    expect(refused).toEqual(["VALIDATION_ERROR", "UNAVAILABLE", "UNAVAILABLE"]);
    expect(one.data.unanswered).toBe(0);
    send(one, "c");
    await soon();
    await endOfStore();
    sync();
    expect(answers.at(-1)).toBe("one: c");
  });

  test("is not answered before what was stored before it", async () => {
    const one = connectionOf("one");
    send(one, "a");
    await soon();
    await endOfStore();
    send(one, "b");
    await soon();
    await endOfStore(new Error("disk full"));
    expect(answers).toEqual([]);
    sync();
    expect(answers).toEqual(["one: a", "one: UNAVAILABLE"]);
  });

  test("because it is no event is answered at once, but not before what was stored before it", async () => {
    const one = connectionOf("one");
    send(one, "nonsense");
    await soon();
    expect(answers).toEqual(["one: VALIDATION_ERROR"]);
    send(one, "a");
    await soon();
    await endOfStore();
    send(one, "nonsense");
    await soon();
    expect(answers).toHaveLength(1);
    sync();
    expect(answers.slice(1)).toEqual(["one: a", "one: VALIDATION_ERROR"]);
    expect(batches).toEqual([["a"]]);
  });

  test("waits no longer than for a look at the organizations that were not known", async () => {
    known = false;
    send(connectionOf("one"), "a");
    await soon();
    expect(batches).toEqual([["a"]]);
  });
});

describe("what may not be on disk", () => {
  test("is answered UNAVAILABLE, batch by batch, and counted and told once for each", async () => {
    const one = connectionOf("one");
    send(one, "a", "nonsense");
    await soon();
    await endOfStore();
    send(one, "b", "c");
    await soon();
    await endOfStore();
    const [first, second] = syncs as [(error: Error | null) => void, (error: Error | null) => void];
    first(new Error("sync failed"));
    expect(answers).toEqual(["one: UNAVAILABLE VALIDATION_ERROR"]);
    second(null);
    expect(answers.slice(1)).toEqual(["one: b c"]);
    expect(faults).toEqual([new Error("sync failed")]);
    expect(refused).toEqual(["VALIDATION_ERROR", "UNAVAILABLE"]);
  });
});

describe("the end", () => {
  test("waits for the batch that is with the store, stores the rest, and takes no more", async () => {
    const [one, two] = [connectionOf("one"), connectionOf("two")];
    send(one, "a");
    await soon();
    send(two, "b");
    let isOver = false;
    const finished = commit.finish().then(() => {
      isOver = true;
    });
    await soon();
    expect([batches, isOver]).toEqual([[["a"]], false]);
    await endOfStore();
    expect([batches, isOver]).toEqual([[["a"], ["b"]], false]);
    await endOfStore();
    await finished;
    expect(syncs).toHaveLength(2);
    sync();
    expect(answers).toEqual(["one: a", "two: b"]);
    send(one, "c");
    await soon();
    expect(batches).toHaveLength(2);
  });

  test("comes before a batch that was only scheduled, which is stored all the same", async () => {
    send(connectionOf("one"), "a");
    const finished = commit.finish();
    await soon();
    expect(batches).toEqual([["a"]]);
    await endOfStore();
    await finished;
    expect(syncs).toHaveLength(1);
  });

  test("is not kept up by a store that fails", async () => {
    send(connectionOf("one"), "a");
    const finished = commit.finish();
    await soon();
    await endOfStore(new Error("disk full"));
    await finished;
    expect(answers).toEqual(["one: UNAVAILABLE"]);
  });
});
