import { afterEach, expect, test } from "bun:test";
import { createOutcomeStream, type OutcomeStream, type OutcomeStreamOptions } from "../src/outcome-stream.ts";
import { until } from "./support/daemon.ts";

let stream: OutcomeStream | null = null;
afterEach(() => stream?.close());

function open(options: OutcomeStreamOptions = {}): OutcomeStream {
  stream = createOutcomeStream(options);
  return stream;
}

/** Reads a stream on, and keeps what came. */
function follow(readable: ReadableStream<Uint8Array> | null) {
  if (!readable) throw new Error("there is no stream");
  const seen = { text: "", ended: false };
  (async () => {
    for await (const bytes of readable) seen.text += new TextDecoder().decode(bytes);
    seen.ended = true;
  })();
  return seen;
}

test("a reader is told of its own organization, in order, from the moment it reads", async () => {
  const outcomes = open();
  expect(outcomes.isRead("a")).toBe(false);
  outcomes.tell("a", "event", () => '{"n":0}');
  const seen = follow(outcomes.open("a", () => true));
  expect(outcomes.isRead("a")).toBe(true);
  expect(outcomes.isRead("b")).toBe(false);
  outcomes.tell("a", "event", () => '{"n":1}');
  outcomes.tell("b", "event", () => '{"n":2}');
  outcomes.tell("a", "attempt", () => '{"n":3}');
  await until("both are there", () => seen.text.includes('"n":3'));
  expect(seen.text).toBe(': heartbeat\n\nevent: event\ndata: {"n":1}\n\nevent: attempt\ndata: {"n":3}\n\n');
});

/** Tells so much that a moment has no room for all of it. */
function flood(outcomes: OutcomeStream, count: number): void {
  const long = "x".repeat(1_000);
  for (let n = 0; n < count; n += 1) outcomes.tell("a", "delivery", () => `"${long}"`);
}

const toldOf = (text: string) => text.match(/event: delivery/g)?.length ?? 0;
const missedOf = (text: string) =>
  [...text.matchAll(/event: missed\ndata: \{"count":(\d+)\}/g)].reduce((sum, [, n]) => sum + Number(n), 0);

test("what is too much for a moment is left out for all, is not even put into words, and is counted", async () => {
  const outcomes = open();
  const seen = follow(outcomes.open("a", () => true));
  await until("it reads", () => seen.text !== "");
  let made = 0;
  for (let n = 0; n < 100_000; n += 1) {
    outcomes.tell("a", "delivery", () => {
      made += 1;
      return '{"id":"0123456789"}';
    });
  }
  await until("all is told or counted", () => toldOf(seen.text) + missedOf(seen.text) === 100_000);
  expect(toldOf(seen.text)).toBe(made);
  expect(made).toBeWithin(1_000, 50_000);
});

test("who does not read is told how many were left out for it, and holds up nobody", async () => {
  const outcomes = open();
  const slow = outcomes.open("a", () => true);
  const quick = follow(outcomes.open("a", () => true));
  await until("the quick one reads", () => quick.text !== "");
  for (let n = 1; n <= 20; n += 1) {
    flood(outcomes, 10);
    await until("the quick one has them", () => toldOf(quick.text) === n * 10);
  }
  expect(quick.text).not.toContain("missed");
  const seen = follow(slow);
  await until("the slow one reads", () => seen.text !== "");
  flood(outcomes, 1);
  await until("it is told", () => toldOf(seen.text) + missedOf(seen.text) === 201);
  expect(missedOf(seen.text)).toBeGreaterThan(100);
  expect(seen.text.indexOf("missed")).toBeLessThan(seen.text.lastIndexOf("event: delivery"));
});

test("silence is broken by a heartbeat", async () => {
  const seen = follow(open({ heartbeatMs: 20 }).open("a", () => true));
  await until("three have come", () => (seen.text.match(/^: heartbeat$/gm)?.length ?? 0) >= 3);
});

test("a reader ends when its key no longer holds, or nobody can say", async () => {
  const outcomes = open({ checkMs: 10 });
  let holds = true;
  const revoked = follow(outcomes.open("a", () => holds));
  const unsure = follow(outcomes.open("b", () => Promise.reject(new Error("the store is away"))));
  await until("nobody can say", () => unsure.ended);
  expect(revoked.ended).toBe(false);
  holds = false;
  await until("it has ended", () => revoked.ended);
  expect([outcomes.isRead("a"), outcomes.isRead("b")]).toEqual([false, false]);
});

test("who goes away is forgotten", async () => {
  const outcomes = open({ maxReaders: 1 });
  await outcomes.open("a", () => true)?.cancel();
  expect(outcomes.isRead("a")).toBe(false);
  expect(outcomes.open("b", () => true)).not.toBeNull();
});

test("there are so many readers at most", () => {
  const outcomes = open({ maxReaders: 2 });
  const open2 = [1, 2].map(() => outcomes.open("a", () => true));
  expect(open2.every((readable) => readable !== null)).toBe(true);
  expect(outcomes.open("b", () => true)).toBeNull();
});

test("closing ends all of them once they have what is there", async () => {
  const outcomes = open();
  const seen = follow(outcomes.open("a", () => true));
  await until("it reads", () => seen.text !== "");
  outcomes.tell("a", "webhook", () => "{}");
  outcomes.close();
  await until("it has ended", () => seen.ended);
  expect(seen.text).toEndWith("event: webhook\ndata: {}\n\n");
  expect(outcomes.open("a", () => true)).toBeNull();
});
