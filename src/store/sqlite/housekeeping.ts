/** What a store that stays open does now and then. */
export interface HousekeepingOptions {
  /** Each time: notices what other processes have changed, and writes down what was only noted. May reject. */
  tidy: () => Promise<void>;
  /** Writes the schedule clock down, which also proves that writing works; throws when it does not. */
  saveClock: () => void;
  /** Whether the last write failed. */
  isFaulty: () => boolean;
}

const TIDY_MS = 250;
const CLOCK_MS = 30_000;

/** Answers what ends it, after one last time. */
export function startHousekeeping({ tidy, saveClock, isFaulty }: HousekeepingOptions): () => Promise<void> {
  const saveClockIfPossible = (): void => {
    try {
      saveClock();
    } catch {
      // The store has said why; the next one tries again.
    }
  };
  const tick = async (): Promise<void> => {
    try {
      if (isFaulty()) saveClock();
      await tidy();
    } catch {
      // As above.
    }
  };
  const timers = [setInterval(tick, TIDY_MS), setInterval(saveClockIfPossible, CLOCK_MS)];
  return async () => {
    for (const timer of timers) clearInterval(timer);
    await tick();
    saveClockIfPossible();
  };
}
