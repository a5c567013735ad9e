import type { IndigiArmor, Outcome } from "../client/index.ts";

export type LiveState = "connecting" | "live" | "lost";

/**
 * Reads `GET /v1/stream` for as long as the page is open. What comes is gathered and handed on a few times a second,
 * so that a flood costs the page no more than a trickle. A lost connection comes back by itself.
 */
export interface Live {
  state(): LiveState;
  onState(listener: () => void): () => void;
  /** `missed` is true when something may have been left out since the last time: then ask the API anew. */
  onOutcomes(listener: (outcomes: readonly Outcome[], missed: boolean) => void): () => void;
  close(): void;
}

const GATHER_MS = 250;
/** The latest of a flood; a view shows no more than its page of these. */
const KEEP = 2_000;
const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 15_000;

/** `clientWith` makes a client that tells when an answer begins: from then on the stream is read. */
export function openLive(clientWith: (onAnswer: () => void) => IndigiArmor): Live {
  const stateListeners = new Set<() => void>();
  const outcomeListeners = new Set<(outcomes: readonly Outcome[], missed: boolean) => void>();
  let state: LiveState = "connecting";
  let gathered: Outcome[] = [];
  let missed = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let closed = false;
  let connection = new AbortController();

  const become = (next: LiveState): void => {
    if (state === next) return;
    state = next;
    for (const listener of stateListeners) listener();
  };

  const hand = (): void => {
    timer = undefined;
    const outcomes = gathered;
    const hasMissed = missed;
    gathered = [];
    missed = false;
    for (const listener of outcomeListeners) listener(outcomes, hasMissed);
  };

  const gather = (outcome: Outcome): void => {
    if (outcome.type === "missed") missed = true;
    else gathered.push(outcome);
    if (gathered.length > KEEP * 2) {
      gathered = gathered.slice(-KEEP);
      missed = true;
    }
    timer ??= setTimeout(hand, GATHER_MS);
  };

  /** What happened while nobody listened was not told. */
  const miss = (): void => {
    missed = true;
    timer ??= setTimeout(hand, GATHER_MS);
  };

  const client = clientWith(() => {
    if (state === "lost") miss();
    become("live");
  });

  const follow = async (): Promise<void> => {
    for (let delay = FIRST_DELAY_MS; !closed; delay = Math.min(delay * 2, MAX_DELAY_MS)) {
      const began = Date.now();
      try {
        connection = new AbortController();
        for await (const outcome of client.stream({ signal: connection.signal })) gather(outcome);
      } catch {
        // However it ended, it is begun again.
      }
      if (closed) return;
      become("lost");
      if (Date.now() - began > MAX_DELAY_MS) delay = FIRST_DELAY_MS;
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  };
  void follow();

  return {
    state: () => state,
    onState: (listener) => subscribe(stateListeners, listener),
    onOutcomes: (listener) => subscribe(outcomeListeners, listener),
    close() {
      closed = true;
      clearTimeout(timer);
      connection.abort();
    },
  };
}

function subscribe<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
