import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Bench } from "./bench.ts";

/** Counts how often a process waits for the disk, from a moment on. */
export interface Syncs {
  stop(): Promise<number>;
}

const ATTACH_MS = 500;

/** Null where there is no strace, or it may not look. */
export async function countSyncs(bench: Bench, pid: number): Promise<Syncs | null> {
  if (Bun.which("strace") === null) return null;
  const log = join(bench.newDir(), "syncs");
  const calls = "trace=fsync,fdatasync,sync_file_range,syncfs,msync";
  // The runtime's collector stops threads with signals, which are no calls.
  const which = ["-e", calls, "-e", "signal=none"];
  const tracer = Bun.spawn(["strace", "-f", "-qq", ...which, "-o", log, "-p", String(pid)], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  bench.defer(() => tracer.kill("SIGKILL"));
  await Bun.sleep(ATTACH_MS);
  if (tracer.exitCode !== null) return null;
  return {
    async stop() {
      tracer.kill("SIGINT");
      await tracer.exited;
      // What another thread's call interrupts takes two lines.
      return readFileSync(log, "utf8")
        .split("\n")
        .filter((line) => line !== "" && !line.includes("resumed>")).length;
    },
  };
}
