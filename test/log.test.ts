import { describe, expect, test } from "bun:test";
import { printable } from "../src/cli/output.ts";
import { createLogger, type LogFields } from "../src/log.ts";

/** Controls of both kinds, marks that turn text around, line separators, half a character. */
const HOSTILE =
  "a\u001b[2J\u009b31m\u202etxt.exe\u2066\u200f\u2028\u2029\u0085\u007f\r\n\0\ud800\u{e0041}é😀";

function lineOf(message: string, fields?: LogFields): string {
  let text = "";
  const log = createLogger({ level: "info", write: (part) => (text += part), now: () => 1 });
  log.info(message, fields);
  log.flush();
  return text;
}

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
    const log = createLogger({ level: "warn", write: (part) => lines.push(part) });
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
