/**
 * The pause that a receiver asks for, in milliseconds from `now`, at most `max`: `Retry-After` as seconds, also
 * fractional, which RFC 9110 (10.2.3) does not have and services send, or as an HTTP date. Null for anything else,
 * and for no time at all: zero, or a moment in the past.
 */
export function parseRetryAfter(value: string | null, now: number, max: number): number | null {
  if (value === null) return null;
  const text = value.trim();
  return parseSeconds(text, max) ?? remaining(parseHttpDate(text, now), now, max);
}

/** Decimal seconds as milliseconds, rounded up, at most `max`; null for anything else, and for zero. */
export function parseSeconds(text: string, max: number): number | null {
  if (!/^\d{1,20}(\.\d{1,20})?$/.test(text)) return null;
  // One that is written as 2.01 must not become 2011 ms for how binary fractions are.
  const milliseconds = Math.ceil(Number((Number(text) * 1000).toPrecision(12)));
  return milliseconds > 0 ? Math.min(milliseconds, max) : null;
}

function remaining(moment: number | null, now: number, max: number): number | null {
  return moment !== null && moment > now ? Math.min(moment - now, max) : null;
}

const DAYS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun";
const LONG_DAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday";
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const MONTH = `(?<month>${MONTHS.join("|")})`;
const TIME = "(?<time>\\d{2}:\\d{2}:\\d{2})";

/** The three forms of RFC 9110, 5.6.7: as it is written today, as in RFC 850, and as C's asctime() does. */
const FORMS = [
  `(?:${DAYS}), (?<day>\\d{2}) ${MONTH} (?<year>\\d{4}) ${TIME} GMT`,
  `(?:${LONG_DAYS}), (?<day>\\d{2})-${MONTH}-(?<year>\\d{2}) ${TIME} GMT`,
  `(?:${DAYS}) ${MONTH} (?<day>\\d{2}| \\d) ${TIME} (?<year>\\d{4})`,
].map((form) => new RegExp(`^${form}$`));

/** Milliseconds since 1970; null for what is no HTTP date. `now` tells the century of a year of two digits. */
export function parseHttpDate(text: string, now: number): number | null {
  for (const form of FORMS) {
    const parts = form.exec(text)?.groups;
    if (parts) return momentOf(parts as Record<"day" | "month" | "year" | "time", string>, now);
  }
  return null;
}

function momentOf(
  { day, month, year, time }: Record<"day" | "month" | "year" | "time", string>,
  now: number,
): number | null {
  const [hour = 0, minute = 0, second = 0] = time.split(":").map(Number);
  // 60 is a leap second.
  if (hour > 23 || minute > 59 || second > 60) return null;
  const moment = new Date(0);
  moment.setUTCFullYear(fullYear(year, now), MONTHS.indexOf(month), Number(day));
  if (moment.getUTCDate() !== Number(day)) return null;
  return moment.setUTCHours(hour, minute, second);
}

/** A year of two digits that seems to be more than 50 years ahead is one that has passed (RFC 9110, 5.6.7). */
function fullYear(text: string, now: number): number {
  if (text.length === 4) return Number(text);
  const present = new Date(now).getUTCFullYear();
  const year = present - (present % 100) + Number(text);
  return year > present + 50 ? year - 100 : year;
}
