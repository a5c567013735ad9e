import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isPlainTimestamp, readTimestamp, type Timestamp } from "../src/timestamp.ts";

/** RFC 3339, section 5.6, in UTC. */
const RFC_3339 = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?Z$/;

function read(text: string): Timestamp {
  const answer = readTimestamp(text);
  if (typeof answer === "string") throw new Error(`${text}: ${answer}`);
  return answer;
}

describe("a time in UTC that RFC 3339 says so", () => {
  test.each([
    "2026-01-15T10:00:00Z",
    "2026-01-15T10:00:00.0Z",
    "2026-01-15T10:00:00.123456789Z",
    "2024-02-29T23:59:59.999Z",
    "2000-02-29T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999Z",
  ])("stays as it was written: %s", (text) => {
    expect(read(text)).toEqual({ utc: text, milliseconds: Date.parse(text.replace(/(\.\d{3})\d+/, "$1")) });
  });
});

describe("another form of ISO 8601 is said as RFC 3339 says it", () => {
  test.each([
    ["2026-01-15T24:00:00Z", "2026-01-16T00:00:00.000Z"],
    ["2026-12-31T24:00Z", "2027-01-01T00:00:00.000Z"],
    ["2026-01-15T24Z", "2026-01-16T00:00:00.000Z"],
    ["2026-01-15T10:00Z", "2026-01-15T10:00:00.000Z"],
    ["2026-01-15T10Z", "2026-01-15T10:00:00.000Z"],
    ["2026-01-15T10:30.5Z", "2026-01-15T10:30:30.000Z"],
    ["2026-01-15T10,25Z", "2026-01-15T10:15:00.000Z"],
    ["2026-01-15T10.123456789Z", "2026-01-15T10:07:24.4444404Z"],
    ["2026-01-15T10:00:00,5Z", "2026-01-15T10:00:00.500Z"],
    ["2026-01-15T10:00:00.12345678901Z", "2026-01-15T10:00:00.123456789Z"],
    ["2026-01-15t10:00:00z", "2026-01-15T10:00:00.000Z"],
    ["2026-01-15T10:00:00+02:00", "2026-01-15T08:00:00.000Z"],
    ["2026-01-15T10:00:00.123456-02:00", "2026-01-15T12:00:00.123456Z"],
    ["2026-01-15T10:00:00.5-0530", "2026-01-15T15:30:00.500Z"],
    ["2026-01-15T00:30+01", "2026-01-14T23:30:00.000Z"],
    ["2026-01-15T10:00:00-00:00", "2026-01-15T10:00:00.000Z"],
    ["20260115T100000Z", "2026-01-15T10:00:00.000Z"],
    ["20260115T1000+0100", "2026-01-15T09:00:00.000Z"],
    ["2026-015T10:00:00Z", "2026-01-15T10:00:00.000Z"],
    ["2024366T10Z", "2024-12-31T10:00:00.000Z"],
    ["2026-W03-4T10:00:00Z", "2026-01-15T10:00:00.000Z"],
    ["2026W034T100000Z", "2026-01-15T10:00:00.000Z"],
    ["2020-W53-7T00:00Z", "2021-01-03T00:00:00.000Z"],
    ["2025-W01-1T00:00Z", "2024-12-30T00:00:00.000Z"],
    ["2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"],
    ["2017-01-01T00:59:60.25+01:00", "2017-01-01T00:00:00.250Z"],
  ])("%s as %s", (text, utc) => {
    expect(read(text)).toEqual({ utc, milliseconds: Date.parse(utc.replace(/(\.\d{3})\d+/, "$1")) });
  });
});

describe("refused is", () => {
  test.each([
    ["a day without a time", "2026-01-15"],
    ["a time without a zone", "2026-01-15T10:00:00"],
    ["a blank for the T", "2026-01-15 10:00:00Z"],
    ["a line break", "2026-01-15T10:00:00Z\n"],
    ["two forms mixed", "2026-01-15T100000Z"],
    ["a year of five digits", "+12026-01-15T10:00:00Z"],
    ["a word", "now"],
    ["nothing", ""],
  ])("%s", (_what, text) => {
    expect(readTimestamp(text)).toBe(
      "must be an ISO 8601 date and time with a zone, such as 2026-01-15T10:00:00.000Z",
    );
  });

  test.each([
    "2026-02-29T10:00:00Z",
    "1900-02-29T10:00:00Z",
    "2026-13-01T10:00:00Z",
    "2026-00-01T10:00:00Z",
    "2026-01-32T10:00:00Z",
    "2026-01-00T10:00:00Z",
    "2026-01-15T25:00:00Z",
    "2026-01-15T24:00:01Z",
    "2026-01-15T24:00:00.1Z",
    "2026-01-15T10:60:00Z",
    "2026-01-15T10:00:61Z",
    "2026-01-15T10:00:60Z",
    "2026-01-15T10:00:00+24:00",
    "2026-01-15T10:00:00+01:60",
    "2026-366T10:00:00Z",
    "2026-000T10:00:00Z",
    "2025-W53-1T10:00:00Z",
    "2026-W00-1T10:00:00Z",
    "2026-W01-0T10:00:00Z",
    "2026-W01-8T10:00:00Z",
  ])("what no calendar or clock shows: %s", (text) => {
    expect(readTimestamp(text)).toEndWith("name a day and a time that exist");
  });

  test.each(["0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "9999-12-31T24:00:00Z"])(
    "what RFC 3339 has no year for: %s",
    (text) => {
      expect(readTimestamp(text)).toStartWith("must lie within the years 0000 to 9999");
    },
  );
});

const moments = fc.date({
  min: new Date("0000-01-02T00:00:00Z"),
  max: new Date("9999-12-30T00:00:00Z"),
  noInvalidDate: true,
});

test("any moment is read as it was written, by month, week or day of the year, and in any zone", () => {
  const pad = (value: number, length = 2) => String(value).padStart(length, "0");
  fc.assert(
    fc.property(moments, fc.integer({ min: -1439, max: 1439 }), (date, minutes) => {
      const local = new Date(date.getTime() + minutes * 60_000);
      const zone = `${minutes < 0 ? "-" : "+"}${pad(Math.trunc(Math.abs(minutes) / 60))}:${pad(Math.abs(minutes) % 60)}`;
      const [day, time] = local.toISOString().slice(0, -1).split("T") as [string, string];
      const midnight = Date.parse(`${day}T00:00:00Z`);
      const ordinal = (midnight - Date.parse(`${day.slice(0, 4)}-01-01T00:00:00Z`)) / 86_400_000 + 1;
      for (const written of [
        `${day}T${time}${zone}`,
        `${day.slice(0, 4)}-${pad(ordinal, 3)}T${time}${zone}`,
      ]) {
        expect(read(written)).toEqual({ utc: date.toISOString(), milliseconds: date.getTime() });
      }
    }),
  );
});

test("whatever is accepted comes out as RFC 3339 in UTC, and as itself when read again", () => {
  const digits = (count: number) => fc.stringMatching(new RegExp(`^\\d{${count}}$`));
  const day = fc.oneof(
    fc.tuple(digits(4), digits(2), digits(2)).map((parts) => parts.join("-")),
    fc.tuple(digits(4), digits(2), digits(1)).map(([y, w, d]) => `${y}-W${w}-${d}`),
    fc.tuple(digits(4), digits(3)).map((parts) => parts.join("-")),
  );
  const time = fc.array(digits(2), { minLength: 1, maxLength: 3 }).map((parts) => parts.join(":"));
  const tail = fc.constantFrom("Z", ".5Z", ",123456789123Z", "+01", "-23:59", ".000+0530");
  fc.assert(
    fc.property(day, time, tail, (date, clock, end) => {
      const answer = readTimestamp(`${date}T${clock}${end}`);
      if (typeof answer === "string") return;
      expect(answer.utc).toMatch(RFC_3339);
      expect(readTimestamp(answer.utc)).toEqual(answer);
    }),
    { numRuns: 2_000 },
  );
});

test("the quick look agrees with the thorough one", () => {
  expect(isPlainTimestamp("2026-01-15T10:00:00.000Z")).toBe(true);
  fc.assert(
    fc.property(moments, (date) => {
      const text = date.toISOString();
      if (isPlainTimestamp(text)) expect(read(text).utc).toBe(text);
    }),
  );
});
