import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createLineSplitter, type Line } from "../../src/ingest/line-splitter.ts";

/** What comes out for these chunks: text of each line, null for one that was too long. */
function linesOf(maxLine: number, chunks: readonly Buffer[], takeAtOnce = true): (string | null)[] {
  const splitter = createLineSplitter(maxLine);
  const lines: (string | null)[] = [];
  const takeAll = (): void => {
    while (splitter.ready) lines.push(textOf(splitter.take()));
  };
  for (const chunk of chunks) {
    // As the socket hands them over: each chunk in memory of its own.
    splitter.push(Buffer.from(new Uint8Array(chunk).buffer));
    if (takeAtOnce) takeAll();
  }
  takeAll();
  return lines;
}

function textOf(line: Line | null): string | null {
  return line?.bytes.toString("latin1", line.from, line.to) ?? null;
}

/** The same, said in one line. */
function expected(maxLine: number, whole: Buffer): (string | null)[] {
  const lines = whole.toString("latin1").split("\n").slice(0, -1);
  return lines.map((line) => (line.length > maxLine ? null : line));
}

function cut(whole: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let start = 0;
  for (const size of [...sizes, whole.length]) {
    if (start >= whole.length) break;
    chunks.push(whole.subarray(start, start + size));
    start += size;
  }
  return chunks;
}

/** Bytes with many newlines among them. */
const bytes = fc
  .array(fc.oneof({ weight: 1, arbitrary: fc.constant(10) }, { weight: 4, arbitrary: fc.nat(255) }), {
    maxLength: 400,
  })
  .map((values) => Buffer.from(values));
const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 40 });

describe("the line splitter", () => {
  test("gives the same lines however the bytes are cut into chunks", () => {
    fc.assert(
      fc.property(bytes, sizes, fc.integer({ min: 1, max: 50 }), fc.boolean(), (whole, cuts, max, atOnce) => {
        expect(linesOf(max, cut(whole, cuts), atOnce)).toEqual(expected(max, whole));
      }),
      { numRuns: 500 },
    );
  });

  test("never holds more of an unfinished line than the longest line may have", () => {
    fc.assert(
      fc.property(bytes, sizes, (whole, cuts) => {
        const splitter = createLineSplitter(2_000);
        for (const chunk of cut(Buffer.concat(Array(20).fill(whole)), cuts)) {
          splitter.push(Buffer.from(chunk));
          while (splitter.ready) splitter.take();
          expect(splitter.partial).toBeLessThanOrEqual(2_000);
          expect(splitter.unread).toBe(0);
        }
      }),
      { numRuns: 100 },
    );
  });

  test("takes a line of exactly the greatest length, and skips one that is a byte longer", () => {
    const lines = ["a".repeat(100), "b".repeat(101), "c"];
    const whole = Buffer.from(`${lines.join("\n")}\n`);
    expect(linesOf(100, [whole])).toEqual([lines[0] as string, null, "c"]);
    expect(linesOf(100, cut(whole, Array(300).fill(1)))).toEqual([lines[0] as string, null, "c"]);
  });

  test("holds nothing of a line that is too long, and goes on after its newline", () => {
    const splitter = createLineSplitter(1_000);
    for (let i = 0; i < 50; i += 1) splitter.push(Buffer.alloc(500, "x"));
    expect([splitter.partial, splitter.unread, splitter.ready]).toEqual([0, 0, false]);
    splitter.push(Buffer.from("\nnext\n"));
    expect([splitter.take(), textOf(splitter.take())]).toEqual([null, "next"]);
  });

  test("counts what waits, and leaves an unfinished line out of it", () => {
    const splitter = createLineSplitter(1_000);
    splitter.push(Buffer.from("one\ntwo\nthr"));
    expect(splitter.unread).toBe(11);
    expect(textOf(splitter.take())).toBe("one");
    expect(splitter.unread).toBe(7);
    expect(textOf(splitter.take())).toBe("two");
    expect([splitter.ready, splitter.unread, splitter.partial > 0]).toEqual([false, 0, true]);
    splitter.push(Buffer.from("ee\n"));
    expect(textOf(splitter.take())).toBe("three");
    expect(splitter.partial).toBe(0);
  });

  test("does not touch memory that a chunk shares with others", () => {
    const shared = Buffer.from("one\ntwo\n".repeat(4_000));
    const splitter = createLineSplitter(1_000);
    splitter.push(shared.subarray(0, 16_000));
    while (splitter.ready) splitter.take();
    splitter.push(Buffer.from("three\n"));
    expect(shared.toString()).toBe("one\ntwo\n".repeat(4_000));
  });

  test("forgets all of it when cleared", () => {
    const splitter = createLineSplitter(1_000);
    splitter.push(Buffer.from("one\ntwo"));
    splitter.clear();
    expect([splitter.ready, splitter.unread, splitter.partial]).toEqual([false, 0, 0]);
    splitter.push(Buffer.from("three\n"));
    expect(textOf(splitter.take())).toBe("three");
  });
});
