import { beforeEach, describe, expect, test } from "bun:test";
import { Backlog, type Entry } from "../../src/scanner/backlog.ts";
import { ScannerError } from "../../src/scanner/errors.ts";

let backlog: Backlog;
let settled: string[];

beforeEach(() => {
  backlog = new Backlog();
  settled = [];
});

function add(id: string, bytes = 2): Entry {
  const entry: Entry = {
    id,
    text: `${id}\n`,
    bytes,
    wanted: true,
    resolve: ({ duplicate }) => settled.push(`${id} ${duplicate ? "again" : "stored"}`),
    reject: ({ code }) => settled.push(`${id} ${code}`),
  };
  backlog.add(entry);
  return entry;
}

const STORED = '{"ok":true,"id":"e","deliveries":1}';
const refusedWith = (code: string) => JSON.stringify({ ok: false, error: { code, message: "no" } });
const UNAVAILABLE = refusedWith("UNAVAILABLE");

describe("the backlog", () => {
  test("gives what to write once, in order, and settles it by the order of the answers", () => {
    for (const id of ["a", "b", "c"]) add(id);
    expect(backlog.take()).toBe("a\nb\nc\n");
    expect(backlog.take()).toBe("");
    backlog.answer(STORED);
    backlog.answer(refusedWith("VALIDATION_ERROR"));
    backlog.answer('{"ok":true,"id":"e","deliveries":0,"duplicate":true}');
    expect(settled).toEqual(["a stored", "b VALIDATION_ERROR", "c again"]);
    expect([backlog.size, backlog.bytes, backlog.hasWork]).toEqual([0, 0, false]);
  });

  test("has a bounded part of it on the way", () => {
    for (let n = 0; n < 5_000; n += 1) add("x");
    expect(backlog.take()).toHaveLength(2 * 4_096);
    backlog.answer(STORED);
    expect(backlog.take()).toBe("x\n");
    backlog = new Backlog();
    for (let n = 0; n < 5; n += 1) add("y", 400_000);
    expect(backlog.take()).toBe("y\ny\ny\n");
  });

  test("what could not be stored goes first, and nothing else before all of it is answered", () => {
    for (const id of ["a", "b", "c"]) add(id);
    backlog.take();
    add("d");
    expect(backlog.answer(UNAVAILABLE)).toBe(false);
    expect([backlog.refusal?.code, backlog.mustRest, backlog.take()]).toEqual(["UNAVAILABLE", false, ""]);
    expect(backlog.answer(STORED)).toBe(true);
    expect(backlog.answer(UNAVAILABLE)).toBe(false);
    expect(backlog.mustRest).toBe(true);
    backlog.rewind();
    expect(backlog.take()).toBe("a\nc\nd\n");
  });

  test("on a new connection all that is not settled is written again, in its order", () => {
    for (const id of ["a", "b", "c"]) add(id);
    backlog.take();
    backlog.answer(UNAVAILABLE);
    add("d");
    backlog.startOver();
    expect([backlog.refusal, backlog.mustRest]).toEqual([null, false]);
    expect(backlog.take()).toBe("a\nb\nc\nd\n");
  });

  test("what nobody waits for is not written, and its answer settles nothing", () => {
    const [a, b] = [add("a"), add("b")];
    backlog.abandon(b);
    backlog.abandon(b);
    expect([backlog.size, backlog.bytes]).toEqual([1, 2]);
    expect(backlog.take()).toBe("a\n");
    backlog.abandon(a);
    backlog.answer(STORED);
    expect([settled, backlog.size, backlog.bytes]).toEqual([[], 0, 0]);
  });

  test("many that nobody waits for do not keep what they were", () => {
    const entries = Array.from({ length: 3_000 }, (_, n) => add(String(n)));
    for (const entry of entries.slice(1)) backlog.abandon(entry);
    expect([backlog.size, backlog.take()]).toEqual([1, "0\n"]);
  });

  test.each(["no JSON", '{"ok":true}', '{"ok":false,"error":null}', "null"])(
    "does not take %p for an answer",
    (line) => {
      add("a");
      backlog.take();
      expect(() => backlog.answer(line)).toThrow(ScannerError);
    },
  );

  test("an answer that nobody asked for is an error: the daemon's own refusal, or a bad one", () => {
    expect(() => backlog.answer(STORED)).toThrow("not an answer of armorhooks");
    expect(() => backlog.answer(UNAVAILABLE)).toThrow("no");
  });

  test("ends with an error for all that is left", () => {
    for (const id of ["a", "b"]) add(id);
    backlog.take();
    add("c");
    backlog.rejectAll(new ScannerError("over", "CLOSED"));
    expect([settled, backlog.size, backlog.bytes, backlog.take()]).toEqual([
      ["a CLOSED", "b CLOSED", "c CLOSED"],
      0,
      0,
      "",
    ]);
  });
});
