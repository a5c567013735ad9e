import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { openDatabase, type StoreDatabase } from "../../../src/store/sqlite/database.ts";
import { createEventFeed, type EventFeed } from "../../../src/store/sqlite/event-feed.ts";
import { newDir, removeDir } from "../../support/daemon.ts";

/** So many events are taken in together. */
const MANY = 4_096;

let dir: string;
let database: StoreDatabase;
let feed: EventFeed;
/** All events that are stored, the oldest first. */
let events: { id: number; organizationId: number; type: number }[];
let lastId: number;

beforeEach(() => {
  dir = newDir();
  database = openDatabase({ dataDir: dir });
  for (const id of [1, 2]) {
    database.sqlite.run(
      "INSERT INTO organizations (id, uuid, name, plan, created_at) VALUES (?, ?, 'a', 'pro', 0)",
      [id, `organization-${id}`],
    );
  }
  feed = createEventFeed(database);
  events = [];
  lastId = 0;
});
afterEach(() => {
  database.close();
  removeDir(dir);
});

/** Puts events of all types and both organizations into the table, in turn. */
function insert(count: number): typeof events {
  const row = database.sqlite.prepare(
    "INSERT INTO events (id, organization_id, type, body, received_at) VALUES (?, ?, ?, '{}', 0)",
  );
  return Array.from({ length: count }, () => {
    lastId += 1;
    const event = { id: lastId, organizationId: 1 + (lastId % 2), type: lastId % 3 };
    row.run(event.id, event.organizationId, event.type);
    return event;
  });
}

/** As the event store does. */
function store(count: number): void {
  const run = () => {
    const inserted = insert(count);
    feed.grew(count);
    return inserted;
  };
  events.push(...database.transaction("relaxed", run, [feed]));
}

/** A transaction that fails at its end. */
function fail(count: number): void {
  const before = lastId;
  const run = () => {
    insert(count);
    feed.grew(count);
    throw new Error("ours");
  };
  expect(() => database.transaction("relaxed", run, [feed])).toThrow("ours");
  lastId = before;
}

const tableRows = (): number =>
  database.sqlite.query<{ n: number }, []>("SELECT count(*) AS n FROM event_feed").get()?.n ?? 0;

/** Whether the feed lists what there is, wherever one begins, for types alone and together, and for each organization. */
function expectComplete(listing: EventFeed = feed): void {
  for (const organizationId of [1, 2]) {
    for (const types of [[0], [2], [0, 1, 2]]) {
      for (const beforeId of [Number.MAX_SAFE_INTEGER, lastId - 3, Math.ceil(lastId / 2), 2]) {
        for (const limit of [1, 7, 100]) {
          const wanted = events.filter(
            (event) =>
              event.organizationId === organizationId && types.includes(event.type) && event.id < beforeId,
          );
          const ids = wanted.map(({ id }) => id).toReversed();
          expect(listing.idsBelow(beforeId, { organizationId, types, limit })).toEqual(ids.slice(0, limit));
        }
      }
    }
  }
}

describe("the feed of events", () => {
  test("takes many in at once, and lists all, in the table or not", () => {
    expectComplete();
    store(MANY - 1);
    expect(tableRows()).toBe(0);
    expectComplete();
    store(1);
    expect(tableRows()).toBe(MANY);
    expectComplete();
    store(20);
    expect(tableRows()).toBe(MANY);
    expectComplete();
    store(MANY);
    expect(tableRows()).toBe(2 * MANY + 20);
    expectComplete();
  });

  test("of a transaction that failed nothing is taken for stored", () => {
    store(10);
    fail(MANY);
    expectComplete();
    store(5);
    expectComplete();
    fail(MANY - 100);
    expect(tableRows()).toBe(0);
    store(90);
    expect(tableRows()).toBe(0);
    store(MANY);
    expect(tableRows()).toBe(events.length);
    expectComplete();
  });

  test("is found again by the next start, which counts on", () => {
    store(MANY);
    store(MANY - 5);
    feed = createEventFeed(database);
    expectComplete();
    store(5);
    expect(tableRows()).toBe(events.length);
    expectComplete();
  });

  test("takes in what came past this store when it is read, unless the store cannot write", () => {
    store(MANY);
    events.push(...database.transaction("relaxed", () => insert(2 * MANY)));
    feed = createEventFeed(database);
    database.sqlite.exec("PRAGMA query_only = ON");
    expectComplete();
    expect(tableRows()).toBe(MANY);
    database.sqlite.exec("PRAGMA query_only = OFF");
    expectComplete();
    expect(tableRows()).toBe(events.length);
    store(3);
    expectComplete();
  });

  test("loses what is dropped, and nothing else", () => {
    store(MANY + 10);
    const dropped = [...events.splice(0, 1), ...events.splice(100, 1)];
    database.transaction("relaxed", () => {
      for (const event of dropped) {
        feed.drop(event);
        database.sqlite.run("DELETE FROM events WHERE id = ?", [event.id]);
      }
    });
    expect(tableRows()).toBe(events.length);
    expectComplete();
  });
});
