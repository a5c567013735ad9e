import { cpus, release, totalmem } from "node:os";
import type { Line } from "./bench.ts";

/** The machine, in one line. */
export function machine(): string {
  const [first] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  const date = new Date().toISOString().slice(0, 10);
  return `${date}, ${cpus().length} × ${first?.model.trim()}, ${memory} GiB, Linux ${release()}, Bun ${Bun.version}`;
}

const HEADER = ["row", "figure", "limit beside it", "ratio", "µs of processor each", "to reach", ""];

/** The lines in aligned columns, as a Markdown table. */
export function formatTable(lines: readonly Line[]): string {
  const rows = [HEADER, ...lines.map(cells)];
  const widths = HEADER.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const format = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  const [header = [], ...rest] = rows;
  const notes = lines.flatMap(({ name, note }) => (note ? [`- ${name}: ${note}`] : []));
  return [format(header), rule, ...rest.map(format), ...(notes.length > 0 ? ["", ...notes] : [])].join("\n");
}

function cells({ name, figure, limit, ratio, cost = "", goal, reached }: Line): string[] {
  return [name, figure, limit, ratio, cost, goal, reached === null ? "" : reached ? "yes" : "no"];
}
