import { messageOf } from "../../errors.ts";

/** What a store that stays open does now and then. */
export interface HousekeepingOptions {
  /** Each time: notices what other processes have changed, and writes down what was only noted. May reject. */
  tidy: () => Promise<void>;
  /** Writes the schedule clock down, which also proves that writing works; throws when it does not. */
  saveClock: () => void;
  /** Whether the last write failed. */
  isFaulty: () => boolean;
  /** Told of a failure once, however often what failed is tried again. */
  onFault: (error: unknown) => void;
}

/** What other processes change is honoured within a second (docs/CONTRACT.md, section 1). */
const TIDY_MS = 500;
const CLOCK_MS = 30_000;

/** Answers what ends it, after one last time. */
export function startHousekeeping({
  tidy,
  saveClock,
  isFaulty,
  onFault,
}: HousekeepingOptions): () => Promise<void> {
  let told = "";
  const tell = (error: unknown): void => {
    if (messageOf(error) !== told) onFault(error);
    told = messageOf(error);
  };
  const saveClockIfPossible = (): void => {
    try {
      saveClock();
    } catch (error) {
      tell(error);
    }
  };
  const tick = async (): Promise<void> => {
    try {
      if (isFaulty()) saveClock();
      await tidy();
      told = "";
    } catch (error) {
      tell(error);
    }
  };
  const timers = [setInterval(tick, TIDY_MS), setInterval(saveClockIfPossible, CLOCK_MS)];
  return async () => {
    for (const timer of timers) clearInterval(timer);
    await tick();
    saveClockIfPossible();
  };
}
