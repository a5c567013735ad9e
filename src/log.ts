import { ID_LENGTH } from "./ids.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Messages are our own words, free of quotes. One JSON line per call, in the order of the calls. Never give it a key, a secret, a payload or a URL's path. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** Writes a line that comes by the thousand: its form with the ids, whom it is about, and the number that it ends with. */
  fill(form: LineForm, ids: LineIds, about: Uint8Array, number: number): void;
  /** Whether a line of this level would be written: lets hot paths skip building fields. */
  enabled(level: LogLevel): boolean;
  /** Writes what is buffered now; call before the process ends. */
  flush(): void;
}

/** What lines that come by the thousand share, whoever they are about. Their level is info. */
export interface LineForm {
  /** What stands between the time and whom it is about, and where in that the ids go. */
  readonly head: Uint8Array;
  readonly idsAt: readonly number[];
  /** What stands between that and the number at the end. */
  readonly end: Uint8Array;
  readonly writeId: WriteId;
}

/** Writes an id as the outside sees it, ID_LENGTH bytes of ASCII. */
export type WriteId = (id: number, into: Uint8Array, at: number) => void;

/** The ids of one line: as many as its form has places for. */
export interface LineIds {
  eventId: number;
  deliveryId?: number;
}

const ID_HOLE = "?".repeat(ID_LENGTH);

/** Lines with these ids, in the order of LineIds; `end` is JSON (`,"name":value…`) up to the number. */
export function createLineForm(
  message: string,
  ids: readonly ("event_id" | "delivery_id")[],
  { end, writeId }: { end: string; writeId: WriteId },
): LineForm {
  const idsAt: number[] = [];
  let head = `,"msg":"${message}"`;
  for (const name of ids) {
    head += `,"${name}":"`;
    idsAt.push(head.length);
    head += `${ID_HOLE}"`;
  }
  return { head: Buffer.from(head), idsAt, end: Buffer.from(end), writeId };
}

/** Takes bytes that are to be written; they may be overwritten once `taken` was called. */
export type LogWriter = (bytes: Uint8Array, taken: () => void) => void;

export interface LoggerOptions {
  level: LogLevel;
  write: LogWriter;
  now?: () => number;
}

const CHUNK_BYTES = 64 * 1024;
const FLUSH_DELAY_MS = 10;
/** Chunks that are kept for what comes next. */
const SPARE_CHUNKS = 2;
/** Most that such a line has besides: level and time before, a number and the line's end behind. */
const FRAME_BYTES = 128;

/**
 * A logger that gathers lines for up to 10 ms, because a write per line would cost more than the line itself. It
 * keeps them as bytes: as texts, three lines for every event were a tenth of all the time that one takes, most of
 * it the garbage collector's.
 */
export function createLogger({ level, write, now = Date.now }: LoggerOptions): Logger {
  const threshold = LOG_LEVELS.indexOf(level);
  const enabled = (at: LogLevel): boolean => LOG_LEVELS.indexOf(at) >= threshold;
  const infoEnabled = enabled("info");
  const spare: Buffer[] = [];
  let chunk: Buffer = Buffer.allocUnsafeSlow(0);
  let used = 0;
  let timer: ReturnType<typeof setTimeout> | null = null;
  /** How lines of the present millisecond begin. */
  let beginning = { time: Number.NaN, bytes: new Uint8Array() };

  const flush = (): void => {
    if (timer) clearTimeout(timer);
    timer = null;
    if (used === 0) return;
    const full = chunk;
    const bytes = chunk.subarray(0, used);
    chunk = spare.pop() ?? Buffer.allocUnsafeSlow(0);
    used = 0;
    write(bytes, () => {
      if (full.length === CHUNK_BYTES && spare.length < SPARE_CHUNKS) spare.push(full);
    });
  };

  const makeRoom = (bytes: number): void => {
    if (used + bytes <= chunk.length) return;
    flush();
    if (bytes > chunk.length) chunk = Buffer.allocUnsafeSlow(Math.max(bytes, CHUNK_BYTES));
  };

  const flushSoon = (): void => {
    timer ??= setTimeout(flush, FLUSH_DELAY_MS);
  };

  const log = (at: LogLevel, message: string, fields?: LogFields): void => {
    if (!enabled(at)) return;
    const text = `{"level":"${at}","time":${now()},"msg":"${message}"${fields ? formatFields(fields) : ""}}\n`;
    makeRoom(Buffer.byteLength(text));
    used += chunk.write(text, used);
    flushSoon();
  };

  const put = (bytes: Uint8Array): void => {
    chunk.set(bytes, used);
    used += bytes.length;
  };

  const fill: Logger["fill"] = ({ head, idsAt, end, writeId }, { eventId, deliveryId }, about, number) => {
    if (!infoEnabled) return;
    makeRoom(head.length + about.length + end.length + FRAME_BYTES);
    const time = now();
    if (beginning.time !== time) beginning = { time, bytes: Buffer.from(`{"level":"info","time":${time}`) };
    put(beginning.bytes);
    const at = used;
    put(head);
    writeId(eventId, chunk, at + (idsAt[0] as number));
    if (deliveryId !== undefined) writeId(deliveryId, chunk, at + (idsAt[1] as number));
    put(about);
    put(end);
    if (number >= 0 && number < 10) {
      chunk[used] = 48 + number;
      used += 1;
    } else used += chunk.write(String(number), used, "latin1");
    chunk[used] = 125;
    chunk[used + 1] = 10;
    used += 2;
    flushSoon();
  };

  return {
    debug: (message, fields) => log("debug", message, fields),
    info: (message, fields) => log("info", message, fields),
    warn: (message, fields) => log("warn", message, fields),
    error: (message, fields) => log("error", message, fields),
    fill,
    enabled,
    flush,
  };
}

function formatFields(fields: LogFields): string {
  let text = "";
  for (const name in fields) {
    const value = fields[name];
    if (value !== undefined) text += `,"${name}":${typeof value === "string" ? quote(value) : value}`;
  }
  return text;
}

const PLAIN = /^[ -~]*$/;

/** As JSON, and also without what a terminal would act on: C1 controls, and marks that turn text around. */
export function quote(text: string): string {
  const json = JSON.stringify(text);
  return PLAIN.test(json) ? json : json.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escapeUnits);
}

function escapeUnits(character: string): string {
  let escaped = "";
  for (let i = 0; i < character.length; i += 1) {
    escaped += `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`;
  }
  return escaped;
}
