import type { Lane, Trust } from "./lane.ts";
import type { Slots } from "./slots.ts";

/** Webhooks that have something to send, served in turn. */
export interface ReadyLanes {
  add(lane: Lane): void;
  remove(lane: Lane): void;
  /** The next lane that `test` takes; it goes to the end of its line. */
  next(test: (lane: Lane) => Verdict, slots: Pick<Slots, "open" | "newestFirst">): Lane | null;
  /** Whether webhooks wait for their first try. */
  readonly hasUntried: boolean;
}

/** `take` it now, `skip` it for the moment, or `drop` it until it is added again. */
export type Verdict = "take" | "skip" | "drop";

/** Every second turn is for webhooks that are doing well; new ones come before failing ones only by going in turn. */
const TURNS: readonly Trust[] = ["proven", "untried", "proven", "failing"];

/** Bounds the work of one call when many webhooks must be skipped; the line turns, so all are reached in time. */
const MAX_SKIPS = 64;

export function createReadyLanes(): ReadyLanes {
  const lines: Record<Trust, Set<Lane>> = { proven: new Set(), untried: new Set(), failing: new Set() };
  let turn = 0;

  const remove = (lane: Lane): void => {
    lines.proven.delete(lane);
    lines.untried.delete(lane);
    lines.failing.delete(lane);
  };

  const pick = (trust: Trust, test: (lane: Lane) => Verdict, newestFirst: boolean): Lane | null => {
    const line = lines[trust];
    let skips = 0;
    for (const lane of newestFirst ? [...line].reverse() : line) {
      const verdict = test(lane);
      line.delete(lane);
      if (verdict === "drop") continue;
      lines[lane.trust].add(lane);
      if (verdict === "take") return lane;
      skips += 1;
      if (skips >= Math.min(MAX_SKIPS, line.size)) return null;
    }
    return null;
  };

  return {
    add(lane) {
      const line = lines[lane.trust];
      if (line.has(lane)) return;
      remove(lane);
      line.add(lane);
    },
    remove,
    get hasUntried() {
      return lines.untried.size > 0;
    },
    next(test, slots) {
      for (let tries = 0; tries < TURNS.length; tries += 1) {
        const trust = TURNS[turn] as Trust;
        turn = (turn + 1) % TURNS.length;
        if (lines[trust].size === 0 || !slots.open(trust)) continue;
        const lane = pick(trust, test, trust === "untried" && slots.newestFirst);
        if (lane) return lane;
      }
      return null;
    },
  };
}
