import { readdirSync, readFileSync } from "node:fs";

/** A daemon is at rest: after a start the runtime collects garbage each second until nothing has changed for thirty. */
export const AT_REST_AFTER_MS = 45_000;

/** What the threads of a process have used so far. */
export interface ProcessLoad {
  /** Milliseconds of processor time, more finely than proc(5)'s ticks. */
  processorMs: number;
  /** How often one of them has begun to wait. */
  waits: number;
}

/** All threads that live now: what one that has ended had used is not among it. */
export function loadOf(pid: number): ProcessLoad {
  const load = { processorMs: 0, waits: 0 };
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const file = (name: string): string => readFileSync(`/proc/${pid}/task/${thread}/${name}`, "utf8");
    try {
      load.processorMs += Number(file("schedstat").split(" ")[0]) / 1e6;
      load.waits += Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(file("status"))?.[1]);
    } catch {
      // It has ended since the list was read.
    }
  }
  return load;
}

/** The same for a time: share of one processor, and waits a second. */
export async function loadDuring(
  pid: number,
  milliseconds: number,
): Promise<{ share: number; waits: number }> {
  const before = loadOf(pid);
  const startedAt = performance.now();
  await Bun.sleep(milliseconds);
  const after = loadOf(pid);
  const passed = performance.now() - startedAt;
  return {
    share: (after.processorMs - before.processorMs) / passed,
    waits: ((after.waits - before.waits) * 1_000) / passed,
  };
}
