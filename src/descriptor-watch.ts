import { descriptorLimit, openDescriptors } from "./descriptors.ts";
import type { Logger } from "./log.ts";

/** Tells of a shortage of file descriptors: one line of the log for each, however many meet it. */
export interface DescriptorWatch {
  /** Somebody had to do without one; `what` says who. */
  noteShortage(what: string): void;
}

/** A shortage is over when nobody has met it for so long. */
const QUIET_MS = 10_000;

export function createDescriptorWatch(log: Logger, now = (): number => performance.now()): DescriptorWatch {
  let latest = Number.NEGATIVE_INFINITY;
  return {
    noteShortage(what) {
      const isNew = now() - latest > QUIET_MS;
      latest = now();
      if (!isNew) return;
      log.warn("file descriptors are short: what needs one waits until there are some again", {
        first: what,
        open: openDescriptors(),
        limit: descriptorLimit(),
        hint: "raise ulimit -n, or LimitNOFILE= of the unit",
      });
    },
  };
}
