export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Messages are our own words, free of quotes. One JSON line per call, in the order of the calls. Never give it a key, a secret, a payload or a URL's path. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A line whose fields are JSON already (`,"name":value…`): for lines that come by the thousand. */
  append(level: LogLevel, message: string, fields: string): void;
  /** Whether a line of this level would be written: lets hot paths skip building fields. */
  enabled(level: LogLevel): boolean;
  /** Writes what is buffered now; call before the process ends. */
  flush(): void;
}

export interface LoggerOptions {
  level: LogLevel;
  write: (text: string) => void;
  now?: () => number;
}

const FLUSH_BYTES = 64 * 1024;
const FLUSH_DELAY_MS = 10;

/** A logger that gathers lines for up to 10 ms, because a write per line would cost more than the line itself. */
export function createLogger({ level, write, now = Date.now }: LoggerOptions): Logger {
  const threshold = LOG_LEVELS.indexOf(level);
  let buffer = "";
  let timer: ReturnType<typeof setTimeout> | null = null;

  const flush = (): void => {
    if (timer) clearTimeout(timer);
    timer = null;
    if (buffer === "") return;
    const text = buffer;
    buffer = "";
    write(text);
  };

  const log = (at: LogLevel, message: string, fields?: LogFields): void => {
    if (LOG_LEVELS.indexOf(at) >= threshold) append(at, message, fields ? formatFields(fields) : "");
  };

  const append = (at: LogLevel, message: string, fields: string): void => {
    if (LOG_LEVELS.indexOf(at) < threshold) return;
    buffer += `{"level":"${at}","time":${now()},"msg":"${message}"${fields}}\n`;
    if (buffer.length > FLUSH_BYTES) flush();
    else timer ??= setTimeout(flush, FLUSH_DELAY_MS);
  };

  return {
    debug: (message, fields) => log("debug", message, fields),
    info: (message, fields) => log("info", message, fields),
    warn: (message, fields) => log("warn", message, fields),
    error: (message, fields) => log("error", message, fields),
    append,
    enabled: (at) => LOG_LEVELS.indexOf(at) >= threshold,
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

/** A logger that writes nothing: for tests. */
export const silentLogger: Logger = createLogger({ level: "silent", write: () => {} });
