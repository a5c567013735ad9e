import { onBeat } from "./beat.ts";
import { descriptorLimit, descriptorsAreOut } from "./descriptors.ts";
import type { Logger } from "./log.ts";

/** Looks after file descriptors: one line of the log for each shortage, however many meet it. */
export interface DescriptorWatch {
  /** Somebody had to do without one; `what` says who. */
  noteShortage(what: string): void;
  /** Looks by itself from now on: who waits to be accepted cannot say so. */
  start(): void;
  stop(): void;
}

export interface DescriptorWatchOptions {
  log: Logger;
  /** Gives up what is open for convenience only. */
  relieve: () => void;
  now?: () => number;
}

/** A shortage is over when nobody has met it for so long. */
const QUIET_MS = 10_000;

export function createDescriptorWatch({
  log,
  relieve,
  now = () => performance.now(),
}: DescriptorWatchOptions): DescriptorWatch {
  // Asked for now: in a shortage there is no descriptor to read it with.
  const limit = descriptorLimit();
  let latest = Number.NEGATIVE_INFINITY;
  let stop = (): void => {};

  const noteShortage = (what: string): void => {
    const isNew = now() - latest > QUIET_MS;
    latest = now();
    if (!isNew) return;
    log.warn("file descriptors are short: what needs one waits until there are some again", {
      first: what,
      limit: Number.isFinite(limit) ? limit : null,
      hint: "raise ulimit -n, or LimitNOFILE= of the unit",
    });
  };

  const look = (): void => {
    if (!descriptorsAreOut()) return;
    noteShortage("a connection to the API");
    relieve();
  };

  return {
    noteShortage,
    start() {
      stop = onBeat(look);
    },
    stop: () => stop(),
  };
}
