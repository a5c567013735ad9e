import { randomBytes } from "node:crypto";

/**
 * Event and delivery ids are 53-bit integers in the database (milliseconds since 2020, then a 12-bit
 * counter), so a row's id is its place in time and inserts only ever append. Outside they are UUIDs of
 * version 7 (RFC 9562): the same 53 bits, then 62 bits that are random once per installation.
 */
const EPOCH = Date.UTC(2020, 0, 1);
const PER_MILLISECOND = 4096;

/** The part of every event and delivery id that belongs to one installation: 16 hex digits with the variant bits set. */
export type InstallationTag = string;

export function newInstallationTag(): InstallationTag {
  const bytes = randomBytes(8);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x80;
  return bytes.toString("hex");
}

/** The smallest id of a moment (milliseconds since 1970). */
export function idAt(milliseconds: number): number {
  return Math.max(0, Math.floor(milliseconds) - EPOCH) * PER_MILLISECOND;
}

/** The moment of an id, in milliseconds since 1970. */
export function timeOfId(id: number): number {
  return Math.floor(id / PER_MILLISECOND) + EPOCH;
}

/** Gives the first of so many ids in a row. */
export type IdSource = (count?: number) => number;

/** Ids that only ever grow, also when the clock stands still or goes back. */
export function createIdSource(now: () => number, last = 0): IdSource {
  let previous = last;
  return (count = 1) => {
    const first = Math.max(previous + 1, idAt(now()));
    previous = first + count - 1;
    return first;
  };
}

/** Bytes of an id's text, which is ASCII. */
export const ID_LENGTH = 36;
const TIME_LOW_AT = 9;
const COUNTER_AT = 15;
/** A UUID has the time's last 16 bits in a group of their own. */
const TIME_LOW = 0x1_0000;
const HEX_DIGITS = Buffer.from("0123456789abcdef");
const ID_PATTERN = /^([0-9a-f]{8})-([0-9a-f]{4})-7([0-9a-f]{3})-([0-9a-f]{4})-([0-9a-f]{12})$/;

/** The ids of one installation as the UUIDs that the outside sees. */
export interface IdFormat {
  format(id: number): string;
  /** Writes the same text into bytes, without making it. */
  write(id: number, into: Uint8Array, at: number): void;
  /** The integer behind a UUID that this installation made; null for anything else. */
  parse(text: string): number | null;
}

export function createIdFormat(tag: InstallationTag): IdFormat {
  const ending = `-${tag.slice(0, 4)}-${tag.slice(4)}`;
  /** What the ids of the latest millisecond share: ids come in runs. */
  let latest = { time: -1, text: "" };
  const image = Buffer.from(`00000000-0000-7000${ending}`);

  const format = (id: number): string => {
    const time = Math.floor(id / PER_MILLISECOND);
    if (latest.time !== time) latest = { time, text: formatTime(time + EPOCH) };
    const counter = (id % PER_MILLISECOND) + PER_MILLISECOND;
    return `${latest.text}-7${counter.toString(16).slice(1)}${ending}`;
  };

  return {
    format,
    write(id, into, at) {
      const time = Math.floor(id / PER_MILLISECOND);
      const high = Math.floor((time + EPOCH) / TIME_LOW);
      into.set(image, at);
      writeHex(high, into, at, 8);
      writeHex(time + EPOCH - high * TIME_LOW, into, at + TIME_LOW_AT, 4);
      writeHex(id - time * PER_MILLISECOND, into, at + COUNTER_AT, 3);
    },
    parse(text) {
      const match = ID_PATTERN.exec(text);
      if (!match || `${match[4]}${match[5]}` !== tag) return null;
      const id = idIn(match);
      return Number.isSafeInteger(id) && id > 0 ? id : null;
    },
  };
}

function writeHex(value: number, into: Uint8Array, at: number, digits: number): void {
  for (let i = digits - 1, rest = value; i >= 0; i -= 1, rest >>>= 4) {
    into[at + i] = HEX_DIGITS[rest & 15] as number;
  }
}

function formatTime(milliseconds: number): string {
  const digits = milliseconds.toString(16).padStart(12, "0");
  return `${digits.slice(0, 8)}-${digits.slice(8)}`;
}

/**
 * Where a UUID of version 7 lies among ids, whoever made it: what is older has smaller ones. For places in a list,
 * which are in nobody's hands but the reader's own; null for anything else.
 */
export function positionOf(text: string): number | null {
  const match = ID_PATTERN.exec(text);
  if (!match) return null;
  return Math.max(0, Math.min(idIn(match), Number.MAX_SAFE_INTEGER));
}

function idIn([, high, low, counter]: RegExpExecArray): number {
  const milliseconds = Number.parseInt(`${high}${low}`, 16);
  return (milliseconds - EPOCH) * PER_MILLISECOND + Number.parseInt(counter ?? "", 16);
}

const FIXED_UUIDS = /^(0{8}-0{4}-0{4}-0{4}-0{12}|f{8}-f{4}-f{4}-f{4}-f{12})$/i;
const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** RFC 9562: of any version, or one of the two that are fixed (sections 5.9 and 5.10). */
export function isUuid(text: string): boolean {
  return UUID_PATTERN.test(text) || FIXED_UUIDS.test(text);
}

/** A request id for logs and for `x-request-id`. */
export function newRequestId(): string {
  return `req_${randomBytes(12).toString("hex")}`;
}
