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

/**
 * Where a webhook stands in the line of its trust. Links, as a `Set` is walked from its first entry on, those that were
 * deleted included, and only forwards: with ten thousands of webhooks that was most of what a turn took.
 */
interface Place {
  readonly queue: WebhookQueue;
  readonly line: Line;
  before: Place | null;
  after: Place | null;
}

interface Line {
  first: Place | null;
  last: Place | null;
  size: number;
}

export function createReadyQueues(): ReadyQueues {
  const places = new Map<WebhookQueue, Place>();
  const lines: Record<Trust, Line> = { proven: newLine(), untried: newLine(), failing: newLine() };
  let turn = 0;

  const append = (queue: WebhookQueue, line: Line): void => {
    const place: Place = { queue, line, before: line.last, after: null };
    if (line.last) line.last.after = place;
    else line.first = place;
    line.last = place;
    line.size += 1;
    places.set(queue, place);
  };

  const prepend = (queue: WebhookQueue, line: Line): void => {
    const place: Place = { queue, line, before: null, after: line.first };
    if (line.first) line.first.before = place;
    else line.last = place;
    line.first = place;
    line.size += 1;
    places.set(queue, place);
  };

  const remove = (queue: WebhookQueue): void => {
    const place = places.get(queue);
    if (!place) return;
    const { line, before, after } = place;
    if (before) before.after = after;
    else line.first = after;
    if (after) after.before = before;
    else line.last = before;
    line.size -= 1;
    places.delete(queue);
  };

  const pick = (
    line: Line,
    test: (queue: WebhookQueue) => Verdict,
    newestFirst: boolean,
  ): WebhookQueue | "stop" | null => {
    let skips = 0;
    for (let place = newestFirst ? line.last : line.first; place; ) {
      const { queue } = place;
      const verdict = test(queue);
      if (verdict === "stop") return verdict;
      const next: Place | null = newestFirst ? place.before : place.after;
      remove(queue);
      // The line turns, whichever end it is served from.
      if (verdict === "skip" && newestFirst) prepend(queue, lines[trustOf(queue)]);
      else if (verdict !== "drop") append(queue, lines[trustOf(queue)]);
      if (verdict === "take") return queue;
      if (verdict === "skip") {
        skips += 1;
        if (skips >= Math.min(MAX_SKIPS, line.size)) return null;
      }
      place = next;
    }
    return null;
  };

  return {
    add(queue) {
      const line = lines[trustOf(queue)];
      if (places.get(queue)?.line === line) return;
      remove(queue);
      append(queue, line);
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
        const queue = pick(lines[trust], test, trust === "untried" && slots.newestFirst);
        if (queue === "stop") return null;
        if (queue) return queue;
      }
      return null;
    },
  };
}

function newLine(): Line {
  return { first: null, last: null, size: 0 };
}
