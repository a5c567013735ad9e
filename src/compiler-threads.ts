import { readdirSync, readFileSync } from "node:fs";
import { setPriority } from "node:os";
import { onBeat } from "./beat.ts";

/** What the runtime calls the threads on which it compiles code that runs often; they come and go. */
const NAME = "JITWorker";
/** On a busy processor a tenth of it is left to them; an idle one they have to themselves. */
const NICENESS = 10;
const LOOK_EVERY_MS = 100;
/** While the process takes less of a processor than this it compiles next to nothing, and is not woken up for that. */
const BUSY_SHARE = 0.02;
const LOOKS = 2;
const TASKS = "/proc/self/task";

/**
 * Has the runtime's compiler step back behind deliveries. It computes for milliseconds at a time, and with few
 * processors an event waited for that: at 500 a second on two, the slowest hundredth took 0.57 ms, now 0.34.
 * Linux only; elsewhere there are no threads to be found, and nothing happens.
 */
export function yieldToDeliveries(): void {
  /** How often each was looked at: a new one may not have its name yet, and of one that ended the number comes again. */
  let looks = new Map<string, number>();
  const look = (): void => {
    const before = looks;
    looks = new Map(threads().map((thread) => [thread, (before.get(thread) ?? 0) + 1]));
    for (const [thread, count] of looks) if (count <= LOOKS) stepBack(thread);
  };
  let used = process.cpuUsage();
  let at = performance.now();
  let isBusy = false;
  const tick = (): void => {
    const { user, system } = process.cpuUsage(used);
    const passed = performance.now() - at;
    used = process.cpuUsage();
    at += passed;
    isBusy = user + system > passed * 1_000 * BUSY_SHARE;
    if (!isBusy) return;
    look();
    setTimeout(tick, LOOK_EVERY_MS).unref();
  };
  look();
  onBeat(() => {
    if (!isBusy) tick();
  });
}

function threads(): string[] {
  try {
    return readdirSync(TASKS);
  } catch {
    return [];
  }
}

function stepBack(thread: string): void {
  try {
    if (readFileSync(`${TASKS}/${thread}/comm`, "utf8").trim() === NAME)
      setPriority(Number(thread), NICENESS);
  } catch {
    // It has just ended, or we run with less priority than that already.
  }
}
