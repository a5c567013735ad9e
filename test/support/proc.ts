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

/** The threads of a process: what each is called, and its niceness. */
export function threadsOf(pid: number): { name: string; niceness: number }[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8");
    const end = stat.lastIndexOf(")");
    // Behind the name come the fields from the third on; niceness is the nineteenth.
    return {
      name: stat.slice(stat.indexOf("(") + 1, end),
      niceness: Number(stat.slice(end + 2).split(" ")[16]),
    };
  });
}
