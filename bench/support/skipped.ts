import type { Line } from "./bench.ts";

/** The line of a row that this machine cannot run. */
export function skipped(name: string, why: string): Line {
  return { name, figure: "skipped", limit: why, ratio: "", goal: "", reached: null, values: {} };
}
