import { readFileSync } from "node:fs";
import { constants } from "node:os";

/**
 * A terminal sends Ctrl-C to every process of its group, and whoever has started the command may pass it on (as
 * `bun run` and `timeout` do); a terminal that closes sends SIGHUP more than once. What comes within so long of a
 * signal is that signal again.
 */
const SAME_SIGNAL_MS = 1_000;

export interface Signals {
  /** The name of the next signal that asks to stop. */
  next(): Promise<string>;
}

/** Watches for SIGTERM, SIGINT and SIGHUP, which from then on do not end the process by themselves. */
export function watchSignals(): Signals {
  let resolve = (_name: string): void => {};
  let lastAt = Number.NEGATIVE_INFINITY;
  const on = (name: string): void => {
    const now = performance.now();
    if (now - lastAt < SAME_SIGNAL_MS) return;
    lastAt = now;
    resolve(name);
  };
  for (const name of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    if (name !== "SIGHUP" || !isIgnored(name)) process.on(name, on);
  }
  return {
    next: () =>
      new Promise((next) => {
        resolve = next;
      }),
  };
}

/** Whether the process was started to go on regardless of a signal, as by `nohup`. Only Linux says so. */
function isIgnored(name: "SIGHUP"): boolean {
  try {
    const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
    return (BigInt(`0x${mask}`) >> BigInt(constants.signals[name] - 1)) % 2n === 1n;
  } catch {
    // No such file elsewhere.
    return false;
  }
}
