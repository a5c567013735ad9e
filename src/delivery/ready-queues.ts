import type { Slots } from "./slots.ts";
import { type Trust, trustOf, type WebhookQueue } from "./webhook-queue.ts";

/** Webhooks that have something to send, served in turn. */
export interface ReadyQueues {
  add(queue: WebhookQueue): void;
  remove(queue: WebhookQueue): void;
  /** The next one that `test` takes; it goes to the end of its line. */
  next(
    test: (queue: WebhookQueue) => Verdict,
    slots: Pick<Slots, "open" | "newestFirst">,
  ): WebhookQueue | null;
  /** Whether webhooks wait for their first try. */
  readonly hasUntried: boolean;
}

/** `take` it now, `skip` it for the moment, `drop` it until it is added again, or `stop`: it and all others wait. */
export type Verdict = "take" | "skip" | "drop" | "stop";

/** Every second turn is for webhooks that are doing well; new ones come before failing ones only by going in turn. */
const TURNS: readonly Trust[] = ["proven", "untried", "proven", "failing"];

/** Bounds the work of one call when many webhooks must be skipped; the line turns, so all are reached in time. */
const MAX_SKIPS = 64;

export function createReadyQueues(): ReadyQueues {
  const lines: Record<Trust, Set<WebhookQueue>> = {
    proven: new Set(),
    untried: new Set(),
    failing: new Set(),
  };
  let turn = 0;

  const remove = (queue: WebhookQueue): void => {
    lines.proven.delete(queue);
    lines.untried.delete(queue);
    lines.failing.delete(queue);
  };

  const pick = (
    trust: Trust,
    test: (queue: WebhookQueue) => Verdict,
    newestFirst: boolean,
  ): WebhookQueue | "stop" | null => {
    const line = lines[trust];
    let skips = 0;
    for (const queue of newestFirst ? [...line].reverse() : line) {
      const verdict = test(queue);
      if (verdict === "stop") return verdict;
      line.delete(queue);
      if (verdict === "drop") continue;
      lines[trustOf(queue)].add(queue);
      if (verdict === "take") return queue;
      skips += 1;
      if (skips >= Math.min(MAX_SKIPS, line.size)) return null;
    }
    return null;
  };

  return {
    add(queue) {
      const line = lines[trustOf(queue)];
      if (line.has(queue)) return;
      remove(queue);
      line.add(queue);
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
        const queue = pick(trust, test, trust === "untried" && slots.newestFirst);
        if (queue === "stop") return null;
        if (queue) return queue;
      }
      return null;
    },
  };
}
