import { beforeEach, describe, expect, test } from "bun:test";
import { type BackPressure, createBackPressure } from "../../src/ingest/back-pressure.ts";
import type { Connection } from "../../src/ingest/client.ts";
import { type BareConnection, connectionOf, say } from "../support/ingest.ts";

const KIB = 1024;
/** With its newline, a line of this many bytes; far from what is too long for one. */
const lineOf = (bytes: number): string => `${"x".repeat(bytes - 1)}\n`;

let clients: Set<Connection>;
let refusals: string[];
let pressure: BackPressure;

beforeEach(() => {
  clients = new Set();
  refusals = [];
  pressure = createBackPressure({
    clients,
    refuse: (socket, message) => {
      refusals.push(`${(socket as Connection & BareConnection).name}: ${message}`);
      socket.data.closed = true;
      clients.delete(socket);
      pressure.forget(socket);
    },
  });
});

function connect(name: string, heavy = true): Connection & BareConnection {
  const socket = connectionOf(name);
  socket.data.heavy = heavy;
  clients.add(socket);
  return socket;
}

/** What a connection sends is there, and is drawn consequences of, as when it is read from. */
function receive(socket: Connection, text: string): void {
  say(socket, text);
  account(socket);
}

function account(socket: Connection, progressed = false): void {
  pressure.account(socket, progressed);
  pressure.regulate(socket);
  pressure.relieve();
}

/** So many lines of a connection are taken. */
function take(socket: Connection, lines: number): void {
  for (let n = 0; n < lines; n += 1) socket.data.splitter.take();
  account(socket, true);
}

const readFrom = (...sockets: BareConnection[]) => sockets.map(({ isRead }) => isRead);

describe("a connection is not read from", () => {
  test("while a quarter of a MiB of it waits, and is again below", () => {
    const socket = connect("one", false);
    receive(socket, lineOf(128 * KIB).repeat(2));
    expect([socket.isRead, pressure.queued]).toEqual([false, 256 * KIB]);
    take(socket, 1);
    expect([socket.isRead, pressure.queued]).toEqual([true, 128 * KIB]);
  });

  test("while it does not take its acks", () => {
    const socket = connect("one");
    socket.data.unsent = Buffer.from("acks");
    account(socket);
    expect(socket.isRead).toBe(false);
    socket.data.unsent = null;
    account(socket, true);
    expect(socket.isRead).toBe(true);
  });

  test("nor is it once it is closed, whatever is said", () => {
    const socket = connect("one");
    socket.data.unsent = Buffer.from("acks");
    account(socket);
    Object.assign(socket.data, { closed: true, unsent: null });
    account(socket);
    expect(socket.isRead).toBe(false);
  });
});

describe("lines of all connections together", () => {
  test("over the first limit stop those who send much, until half of it is worked off", () => {
    const heavy = [1, 2, 3].map((n) => connect(`heavy ${n}`));
    const light = connect("light", false);
    for (const socket of heavy) receive(socket, lineOf(20 * KIB).repeat(5));
    expect([pressure.queued, readFrom(...heavy, light)]).toEqual([300 * KIB, [false, false, false, true]]);
    const [first, second] = heavy as unknown as [Connection, Connection];
    take(first, 5);
    expect([pressure.queued, readFrom(...heavy)]).toEqual([200 * KIB, [false, false, false]]);
    take(second, 4);
    expect([pressure.queued, readFrom(...heavy)]).toEqual([120 * KIB, [true, true, true]]);
    receive(second, lineOf(100 * KIB));
    expect([pressure.queued, readFrom(...heavy)]).toEqual([220 * KIB, [true, true, true]]);
  });

  test("over the second limit stop everybody, and let those who send little go on first", () => {
    const light = connect("light", false);
    const heavy = connect("heavy");
    const many = Array.from({ length: 33 }, (_, n) => connect(`sender ${n}`, false));
    for (const socket of many) receive(socket, lineOf(128 * KIB - 1));
    expect(readFrom(light, heavy, ...many)).toEqual([false, false, ...many.map(() => false)]);
    for (const socket of many.slice(0, 17)) take(socket, 1);
    expect(pressure.queued).toBeLessThan(2 * 1024 * KIB);
    expect(readFrom(light, heavy)).toEqual([true, false]);
    for (const socket of many.slice(17)) take(socket, 1);
    expect([pressure.queued, readFrom(light, heavy)]).toEqual([0, [true, true]]);
  });

  test("stop a connection that comes meanwhile, too", () => {
    receive(connect("one"), lineOf(100 * KIB).repeat(3));
    const late = connect("late");
    pressure.regulate(late);
    expect(late.isRead).toBe(false);
  });

  test("let the one go on first that was heard of longest ago", () => {
    const order: string[] = [];
    const [one, two] = [connect("one"), connect("two")];
    for (const socket of [one, two]) socket.resume = () => order.push(socket.name);
    const full = connect("full");
    receive(full, lineOf(100 * KIB).repeat(3));
    clients.delete(one);
    clients.add(one);
    take(full, 3);
    expect(order).toEqual(["two", "one"]);
  });

  test("count no more once their connection is forgotten", () => {
    const [one, two] = [connect("one"), connect("two")];
    receive(one, lineOf(100 * KIB).repeat(3));
    expect(two.isRead).toBe(false);
    clients.delete(one);
    pressure.forget(one);
    pressure.relieve();
    expect([pressure.queued, two.isRead]).toEqual([0, true]);
  });
});

describe("what connections leave unfinished or unread", () => {
  /** Over a megabyte that waits for its connection to read. */
  const leaveUnread = (socket: Connection, mebibytes: number): void => {
    socket.data.unsent = Buffer.alloc(mebibytes * 1024 * KIB);
    account(socket);
  };

  test("is not among what waits for its turn", () => {
    const socket = connect("one", false);
    receive(socket, "x".repeat(200 * KIB));
    expect(pressure.queued).toBe(0);
    receive(socket, "\n");
    expect(pressure.queued).toBe(200 * KIB + 1);
    socket.data.unsent = Buffer.from("acks");
    account(socket);
    expect(pressure.queued).toBe(0);
  });

  test("over its limit costs those their connection who have not moved for longest, and no more of them than needed", () => {
    const [one, two, three] = [connect("one"), connect("two"), connect("three")];
    for (const socket of [one, two, three]) leaveUnread(socket, 2);
    expect(refusals).toEqual([]);
    account(one, true);
    leaveUnread(three, 4);
    expect(refusals).toEqual([]);
    receive(connect("four"), "x");
    expect(refusals).toEqual(["two: acks were not read while too many wait for the same; connect again"]);
    expect([...clients].map((socket) => (socket as Connection & BareConnection).name)).toEqual([
      "one",
      "three",
      "four",
    ]);
    leaveUnread(one, 9);
    expect(refusals.slice(1).map((refusal) => refusal.split(":")[0])).toEqual(["three", "one"]);
  });

  test("says to who leaves a line unfinished that it does", () => {
    receive(connect("slow"), "x".repeat(100));
    leaveUnread(connect("deaf"), 8);
    expect(refusals).toEqual([
      "slow: a line was not finished while too many wait for the same; connect again",
    ]);
  });
});
