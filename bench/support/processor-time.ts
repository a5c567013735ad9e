import { readFileSync } from "node:fs";

const TICK_MS = 10;

/** Milliseconds of processor time that a process has used, all of its threads together (proc(5): utime and stime). */
export function processorTime(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** Microseconds for each of so many, since a moment at which a process had used so much. */
export function costOf(pid: number, before: number, count: number): number {
  return ((processorTime(pid) - before) * 1_000) / count;
}
