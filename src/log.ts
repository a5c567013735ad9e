export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** One JSON line per call, in the order of the calls. Never give it a key, a secret, a payload or a URL's path. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
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
    if (LOG_LEVELS.indexOf(at) < threshold) return;
    buffer += formatLine(at, message, now(), fields);
    if (buffer.length > FLUSH_BYTES) flush();
    else timer ??= setTimeout(flush, FLUSH_DELAY_MS);
  };

  return {
    debug: (message, fields) => log("debug", message, fields),
    info: (message, fields) => log("info", message, fields),
    warn: (message, fields) => log("warn", message, fields),
    error: (message, fields) => log("error", message, fields),
    enabled: (at) => LOG_LEVELS.indexOf(at) >= threshold,
    flush,
  };
}

function formatLine(level: LogLevel, message: string, time: number, fields?: LogFields): string {
  let line = `{"level":"${level}","time":${time},"msg":${JSON.stringify(message)}`;
  for (const name in fields) {
    const value = fields[name];
    if (value !== undefined)
      line += `,"${name}":${typeof value === "number" ? value : JSON.stringify(value)}`;
  }
  return `${line}}\n`;
}

/** A logger that writes nothing: for commands and tests. */
export const silentLogger: Logger = createLogger({ level: "silent", write: () => {} });
