/** A moment that somebody wrote down. */
export interface Timestamp {
  /** As RFC 3339 says it, in UTC; what was written so already is the same text. */
  utc: string;
  /** Milliseconds since 1970; what is finer is cut off. */
  milliseconds: number;
}

const NOT_A_TIME = "must be an ISO 8601 date and time with a zone, such as 2026-01-15T10:00:00.000Z";
const NOT_REAL = `${NOT_A_TIME}, and name a day and a time that exist`;
const OUT_OF_RANGE = "must lie within the years 0000 to 9999 in UTC, as RFC 3339 has no others";

/** What most programs write, `2026-01-15T10:00:00.000Z`, with a day that every month has: told without a look at its parts. */
const PLAIN = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;

/** Whether a text is RFC 3339 in UTC as it stands. Quick, and right when it says yes; for others, see `readTimestamp`. */
export function isPlainTimestamp(text: string): boolean {
  return text.length === 24 && PLAIN.test(text);
}

/**
 * The complete forms of ISO 8601-1:2019: a date by month, week or day of the year, and a time whose last part may
 * have a fraction, both with separators (extended) or both without (basic), and a zone.
 */
const EXTENDED =
  /^(?<year>\d{4})-(?:(?<month>\d\d)-(?<day>\d\d)|W(?<week>\d\d)-(?<weekday>\d)|(?<ordinal>\d{3}))T(?<hour>\d\d)(?::(?<minute>\d\d)(?::(?<second>\d\d))?)?(?:[.,](?<fraction>\d{1,32}))?(?<zone>Z|[+-]\d\d(?::?\d\d)?)$/i;
const BASIC =
  /^(?<year>\d{4})(?:(?<month>\d\d)(?<day>\d\d)|W(?<week>\d\d)(?<weekday>\d)|(?<ordinal>\d{3}))T(?<hour>\d\d)(?:(?<minute>\d\d)(?<second>\d\d)?)?(?:[.,](?<fraction>\d{1,32}))?(?<zone>Z|[+-]\d\d(?:\d\d)?)$/i;

const RFC_3339_UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

type Parts = Record<string, string | undefined>;

/**
 * Reads an ISO 8601 date and time with a zone, in any of its forms. Answers what is wrong with it, as the rest of
 * a sentence that begins with a field's name, when it has none of them or RFC 3339 cannot say it.
 */
export function readTimestamp(text: string): Timestamp | string {
  const parts: Parts | undefined = (EXTENDED.exec(text) ?? BASIC.exec(text))?.groups;
  if (!parts) return NOT_A_TIME;
  const day = dayOf(parts);
  const offset = offsetOf(parts["zone"] as string);
  const time = timeOf(parts);
  if (day === null || offset === null || time === null) return NOT_REAL;
  const whole = day + time.whole - offset;
  // A leap second comes before midnight in UTC (ITU-R TF.460-6); most clocks count it as the next day's first.
  if (parts["second"] === "60" && whole % DAY_MS !== 0) return NOT_REAL;
  if (whole < FIRST || whole >= END) return OUT_OF_RANGE;
  const milliseconds = whole + Number(time.fraction.slice(0, 3).padEnd(3, "0"));
  const stands = RFC_3339_UTC.test(text) && parts["second"] !== "60" && parts["hour"] !== "24";
  return { utc: stands ? text : written(whole, time.fraction), milliseconds };
}

const FIRST = Date.parse("0000-01-01T00:00:00Z");
const END = Date.parse("9999-12-31T23:59:59Z") + SECOND_MS;

function written(whole: number, fraction: string): string {
  return `${new Date(whole).toISOString().slice(0, 19)}.${fraction.slice(0, 9).padEnd(3, "0")}Z`;
}

/** Midnight of the day, as if in UTC; null when the calendar has no such day. */
function dayOf({ year, month, day, week, weekday, ordinal }: Parts): number | null {
  const first = midnight(Number(year), 0, 1);
  if (month !== undefined) {
    const at = midnight(Number(year), Number(month) - 1, Number(day));
    const read = new Date(at);
    return read.getUTCMonth() === Number(month) - 1 && read.getUTCDate() === Number(day) ? at : null;
  }
  if (ordinal !== undefined) return within(first + (Number(ordinal) - 1) * DAY_MS, Number(year));
  if (Number(week) < 1 || Number(weekday) < 1 || Number(weekday) > 7) return null;
  const at = firstMonday(Number(year)) + ((Number(week) - 1) * 7 + Number(weekday) - 1) * DAY_MS;
  return at < firstMonday(Number(year) + 1) ? at : null;
}

function within(day: number, year: number): number | null {
  return new Date(day).getUTCFullYear() === year ? day : null;
}

/** Date.UTC takes the years 0 to 99 for those of the twentieth century. */
function midnight(year: number, month: number, day: number): number {
  return new Date(0).setUTCFullYear(year, month, day);
}

/** The Monday of the week with the 4th of January, which is a year's first (ISO 8601, 5.5.2). */
function firstMonday(year: number): number {
  const fourth = midnight(year, 0, 4);
  return fourth - ((new Date(fourth).getUTCDay() + 6) % 7) * DAY_MS;
}

/** Milliseconds since midnight in whole seconds, and the digits of what is left; null when no clock shows it. */
function timeOf({ hour, minute, second, fraction = "" }: Parts): { whole: number; fraction: string } | null {
  const [h, m, s] = [Number(hour), Number(minute ?? 0), Number(second ?? 0)];
  const isEndOfDay = h === 24 && m === 0 && s === 0 && /^0*$/.test(fraction);
  if ((h > 23 && !isEndOfDay) || m > 59 || s > 60) return null;
  const whole = h * HOUR_MS + m * MINUTE_MS + s * SECOND_MS;
  if (second !== undefined || fraction === "") return { whole, fraction };
  // A part of an hour or a minute.
  const unit = minute === undefined ? 3_600n : 60n;
  const nanoseconds = (BigInt(fraction.padEnd(32, "0")) * unit * 1_000_000_000n) / 10n ** 32n;
  const rest = String(nanoseconds % 1_000_000_000n).padStart(9, "0");
  return {
    whole: whole + Number(nanoseconds / 1_000_000_000n) * SECOND_MS,
    fraction: rest.replace(/0+$/, ""),
  };
}

/** Milliseconds east of UTC. */
function offsetOf(zone: string): number | null {
  if (/^z$/i.test(zone)) return 0;
  const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(3).replace(":", "") || 0)];
  if (hours > 23 || minutes > 59) return null;
  return (zone[0] === "-" ? -1 : 1) * (hours * HOUR_MS + minutes * MINUTE_MS);
}
