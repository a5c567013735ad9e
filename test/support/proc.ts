import { readdirSync, readFileSync } from "node:fs";

/** What the kernel says of a process (proc(5)). */

function kilobytesOf(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]);
}

/** The most resident memory that a process ever had, in MiB. */
export function peakMemory(pid: number): number {
  return Math.round(kilobytesOf(pid, "VmHWM") / 1024);
}

/** How many descriptors a process has open. */
export function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
