import { isIP } from "node:net";
import { InvalidArgumentError } from "commander";
import { type Cidr, parseCidr } from "../delivery/target-guard.ts";
import { messageOf } from "../errors.ts";
import { LOG_LEVELS, type LogLevel } from "../log.ts";

/** What the texts of options mean. All throw InvalidArgumentError with a sentence that says what they should be. */

export const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `250ms`, `5s`, `10m`, `12h`, `30d` in milliseconds. Throws InvalidArgumentError. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text.trim());
  const value = match ? Number(match[1]) * (UNITS[match[2] as string] as number) : Number.NaN;
  if (!Number.isFinite(value)) {
    throw new InvalidArgumentError("Write a duration such as 250ms, 5s, 10m, 12h or 30d.");
  }
  return Math.round(value);
}

/** Milliseconds as the options are written. */
export function formatDuration(milliseconds: number): string {
  const unit = (["d", "h", "m", "s"] as const).find((name) => milliseconds % (UNITS[name] as number) === 0);
  return unit && milliseconds > 0 ? `${milliseconds / (UNITS[unit] as number)}${unit}` : `${milliseconds}ms`;
}

export function durationFrom(min: number, max: number) {
  return (text: string): number => {
    const value = parseDuration(text);
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be from ${formatDuration(min)} to ${formatDuration(max)}.`);
  };
}

export function integerFrom(min: number, max: number) {
  return (text: string): number => {
    const value = /^\d{1,9}$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

/** A number as people write it, without exponents and other bases; NaN for anything else. */
function decimalOf(text: string): number {
  return /^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : Number.NaN;
}

export function parseNumber(text: string): number {
  const value = decimalOf(text);
  if (Number.isFinite(value)) return value;
  throw new InvalidArgumentError("It must be a number.");
}

export function numberFrom(min: number, max: number) {
  return (text: string): number => {
    const value = decimalOf(text);
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a number from ${min} to ${max}.`);
  };
}

export function parseBoolean(text: string): boolean {
  if (/^(true|1|yes|on)$/i.test(text)) return true;
  if (/^(false|0|no|off)$/i.test(text)) return false;
  throw new InvalidArgumentError("It must be true or false.");
}

export function parseMode(text: string): number {
  const mode = /^0?[0-7]{3}$/.test(text) ? Number.parseInt(text, 8) : Number.NaN;
  if (Number.isNaN(mode)) throw new InvalidArgumentError("It must be an octal file mode such as 0660.");
  return mode;
}

export function parseNetworks(text: string): Cidr[] {
  const parts = text.split(",").filter((part) => part.trim() !== "");
  try {
    return parts.map(parseCidr);
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error));
  }
}

export function parseText(text: string): string {
  if (text === "" || text.includes("\0")) throw new InvalidArgumentError("It must not be empty.");
  return text;
}

/** RFC 1123, and underscores, which names in private networks have; the last dot of a complete name may be there. */
const HOST_NAME = /^(?=.{1,254}$)(?:\w(?:[\w-]{0,61}\w)?)(?:\.\w(?:[\w-]{0,61}\w)?)*\.?$/;

/** An IPv6 address may be written as in a URL. */
export function parseHost(text: string): string {
  const bracketed = /^\[(.+)\]$/.exec(text)?.[1];
  const address = bracketed ?? text;
  if (isIP(address) === 6) return address;
  // A name that ends in a number is an IPv4 address, in whichever form, or nothing (https://url.spec.whatwg.org/#ends-in-a-number-checker).
  if (bracketed === undefined && HOST_NAME.test(text) && URL.canParse(`http://${text}/`)) return text;
  throw new InvalidArgumentError("It must be an address such as 127.0.0.1 or ::1, or a host name.");
}

export function parseLevel(text: string): LogLevel {
  if ((LOG_LEVELS as readonly string[]).includes(text)) return text as LogLevel;
  throw new InvalidArgumentError(`It must be one of ${LOG_LEVELS.join(", ")}.`);
}

/** A bad value as it may be shown: of a URL the scheme alone, as the rest may be a secret. */
export function shownValue(text: string): string {
  return text.replace(/:\/\/[\s\S]+/, "://…");
}
