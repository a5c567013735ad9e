import { describe, expect, test } from "bun:test";
import { printable } from "../src/cli/output.ts";
import { createLineForm, createLogger, type LogFields, type LogLevel, type WriteId } from "../src/log.ts";

/** Controls of both kinds, marks that turn text around, line separators, half a character. */
const HOSTILE =
  "a\u001b[2J\u009b31m\u202etxt.exe\u2066\u200f\u2028\u2029\u0085\u007f\r\n\0\ud800\u{e0041}é😀";

function lineOf(message: string, fields?: LogFields): string {
  let text = "";
  const log = createLogger({
    level: "info",
    write: (bytes) => (text += Buffer.from(bytes).toString()),
    now: () => 1,
  });
  log.info(message, fields);
  log.flush();
  return text;
}

/** A logger, and a form with two ids; what was written is given piece by piece. */
function formLogger(options: { level?: LogLevel; now?: () => number } = {}) {
  const pieces: Buffer[] = [];
  const log = createLogger({
    level: "info",
    now: () => 1_700_000_000_000,
    ...options,
    write: (bytes, taken) => {
      pieces.push(Buffer.from(bytes));
      bytes.fill(0);
      taken();
    },
  });
  const writeId: WriteId = (id, into, at) => into.set(Buffer.from(String(id).padStart(36, "0")), at);
  const form = createLineForm("made", ["event_id", "delivery_id"], { end: `,"n":`, writeId });
  const written = (): string => Buffer.concat(pieces).toString();
  return { log, form, pieces, written };
}

const ABOUT = Buffer.from(`,"to":"é"`);

describe("a line with a form", () => {
  test("is the line that its fields would make", () => {
    const { log, form, written } = formLogger();
    for (const n of [0, 9, 10, 12_345, -1, 2 ** 52]) log.fill(form, { eventId: 7, deliveryId: 8 }, ABOUT, n);
    log.flush();
    const lines = written().trimEnd().split("\n");
    const start = '{"level":"info","time":1700000000000,"msg":"made"';
    const ids = `,"event_id":"${"7".padStart(36, "0")}","delivery_id":"${"8".padStart(36, "0")}"`;
    expect(lines).toEqual([0, 9, 10, 12_345, -1, 2 ** 52].map((n) => `${start}${ids},"to":"é","n":${n}}`));
  });

  test("keeps its place among others, whatever their lengths, through many chunks", () => {
    let time = 1;
    const { log, form, pieces, written } = formLogger({ now: () => time });
    const expected: [string, number, number][] = [];
    for (let n = 0; n < 5_000; n += 1) {
      time = Math.floor(n / 3);
      if (n % 10 === 3) log.warn("said", { n, text: "é".repeat(n % 100 === 3 ? 70_000 : n) });
      else log.fill(form, { eventId: n, deliveryId: n + 1 }, ABOUT, n);
      expected.push([n % 10 === 3 ? "said" : "made", time, n]);
    }
    log.flush();
    expect(pieces.length).toBeGreaterThan(50);
    for (const piece of pieces) expect(piece.at(-1)).toBe(10);
    const seen = written()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line))
      .map(({ msg, time, n }) => [msg, time, n]);
    expect(seen).toEqual(expected);
  });

  test("is written within moments without a flush, and not at all below the level", async () => {
    const info = formLogger();
    const warn = formLogger({ level: "warn" });
    for (const { log, form } of [info, warn]) log.fill(form, { eventId: 1, deliveryId: 2 }, ABOUT, 3);
    await Bun.sleep(50);
    expect(JSON.parse(info.written())).toMatchObject({ msg: "made", n: 3 });
    expect(warn.written()).toBe("");
  });
});

describe("a log line", () => {
  test("is one line of JSON that says what it was given, in order", () => {
    const line = lineOf("made", { id: "x", count: 2, ok: true, none: null, left_out: undefined });
    expect(line).toBe('{"level":"info","time":1,"msg":"made","id":"x","count":2,"ok":true,"none":null}\n');
  });

  test("has nothing in it that a terminal would act on, and still means the same", () => {
    const line = lineOf("made", { text: HOSTILE });
    expect(line.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
    expect(line.endsWith("\n")).toBe(true);
    expect(JSON.parse(line).text).toBe(HOSTILE);
    expect(line).toContain("é😀");
  });

  test("below the level is not written", () => {
    const lines: string[] = [];
    const log = createLogger({ level: "warn", write: (bytes) => lines.push(Buffer.from(bytes).toString()) });
    log.info("not this");
    log.warn("this");
    log.flush();
    expect(lines).toHaveLength(1);
    expect(log.enabled("info")).toBe(false);
    expect(log.enabled("error")).toBe(true);
  });
});

test("text of others is shown on a terminal without anything that it would act on", () => {
  const shown = printable(HOSTILE);
  expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
  expect(shown).toStartWith("a?[2J?31m?txt.exe");
  expect(shown).toEndWith("é😀");
});
