import { expect, test } from "bun:test";
import { parseHttpDate, parseRetryAfter } from "../../src/delivery/retry-after.ts";

const NOW = Date.UTC(2026, 0, 15, 10, 0, 0);
const HOUR = 3_600_000;

test.each([
  ["1", 1_000],
  [" 30 ", 30_000],
  ["0.65", 650],
  ["120.0", 120_000],
  ["2.01", 2_010],
  ["0.0001", 1],
  ["99999999999", HOUR],
  ["Thu, 15 Jan 2026 10:00:05 GMT", 5_000],
  ["Thursday, 15-Jan-26 10:00:05 GMT", 5_000],
  ["Thu Jan 15 10:00:05 2026", 5_000],
  ["Fri, 31 Dec 9999 23:59:59 GMT", HOUR],
])("Retry-After: %s is %d ms", (text, milliseconds) => {
  expect(parseRetryAfter(text, NOW, HOUR)).toBe(milliseconds);
});

test.each([
  "",
  "0",
  "0.0",
  "-1",
  "+1",
  "1e3",
  "0x10",
  ".5",
  "5.",
  "5, 6",
  "soon",
  "Infinity",
  "\x1b[2J",
  "9".repeat(400),
  "Thu, 15 Jan 2026 09:59:59 GMT",
  "Thu, 01 Jan 1970 00:00:00 GMT",
  "Foo, 99 Bar 2026 99:99:99 GMT",
  "Thu, 15 Jan 2026 24:00:00 GMT",
  "Thu, 31 Feb 2026 10:00:00 GMT",
  "Thu, 15 Jan 2026 10:00:05 PST",
  "thu, 15 jan 2026 10:00:05 gmt",
  "2026-01-15T10:00:05Z",
])("Retry-After: %j asks for no time", (text) => {
  expect(parseRetryAfter(text, NOW, HOUR)).toBeNull();
});

test("the example of RFC 9110 is the same moment in its three forms", () => {
  const moment = Date.UTC(1994, 10, 6, 8, 49, 37);
  for (const text of [
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
  ]) {
    expect(parseHttpDate(text, NOW)).toBe(moment);
  }
});

test("a year of two digits is at most 50 years ahead", () => {
  const yearOf = (digits: string) =>
    new Date(parseHttpDate(`Sunday, 06-Nov-${digits} 08:49:37 GMT`, NOW) as number).getUTCFullYear();
  expect(["00", "26", "76", "77", "99"].map(yearOf)).toEqual([2000, 2026, 2076, 1977, 1999]);
});
