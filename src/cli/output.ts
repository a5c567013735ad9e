/** Writing to the terminal, or to whatever the standard streams are. */

/** Text that a log reader has not taken yet; past this, lines are dropped and counted rather than kept in memory. */
const MAX_BACKLOG = 4 * 1024 * 1024;

/** A writer to standard output that neither blocks the process nor grows without bound when nobody reads. */
export function createOutput(): (text: string) => void {
  const sink = Bun.stdout.writer();
  let backlog = "";
  let dropped = 0;
  let pending = false;
  let closed = false;

  const settle = (): void => {
    pending = false;
    if (dropped > 0) backlog += `{"level":"warn","msg":"log lines dropped","bytes":${dropped}}\n`;
    dropped = 0;
    const text = backlog;
    backlog = "";
    if (text !== "") write(text);
  };
  // The reader has gone (EPIPE): a daemon goes on without its log.
  const fail = (): void => {
    closed = true;
  };

  const write = (text: string): void => {
    if (closed) return;
    if (pending) {
      if (backlog.length + text.length > MAX_BACKLOG) dropped += text.length;
      else backlog += text;
      return;
    }
    try {
      const written: unknown = sink.write(text);
      const flushed: unknown = sink.flush();
      for (const outcome of [written, flushed]) {
        if (!(outcome instanceof Promise)) continue;
        pending = true;
        outcome.then(settle, fail);
      }
    } catch {
      fail();
    }
  };
  return write;
}

/** Prints a value as JSON. */
export function printJson(value: unknown): void {
  console.log(JSON.stringify(value, null, process.stdout.isTTY ? 2 : 0));
}

/** Columns with their widest cell; the header in bold on a terminal. */
export function printTable(header: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = header.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => (row[i] ?? "").length)),
  );
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === cells.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join("  ");
  console.log(paint("bold", line(header)));
  for (const row of rows) console.log(line(row));
}

const CODES = { bold: "1", dim: "2", red: "31", green: "32", yellow: "33" } as const;

/** Colour on a terminal, plain text elsewhere and with NO_COLOR (https://no-color.org). */
export function paint(style: keyof typeof CODES, text: string): string {
  return process.stdout.isTTY && !process.env["NO_COLOR"] ? `\u001b[${CODES[style]}m${text}\u001b[0m` : text;
}

/** Text that others chose, made safe for a terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, "?");
}
