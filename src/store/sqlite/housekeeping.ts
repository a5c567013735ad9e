import { onBeat } from "../../beat.ts";
import { messageOf } from "../../errors.ts";

/** What a store that stays open does now and then. */
export interface HousekeepingOptions {
  /** With each beat: notices what other processes have changed, and writes down what was only noted. May reject. */
  tidy: () => Promise<void>;
  /** Writes the schedule clock down, which also proves that writing works; throws when it does not. */
  saveClock: () => void;
  /** Whether the last write failed. */
  isFaulty: () => boolean;
  /** Told of a failure once, however often what failed is tried again. */
  onFault: (error: unknown) => void;
  /** For tests: a beat of their own. */
  everyBeat?: typeof onBeat;
}

const CLOCK_MS = 30_000;

/** Answers what ends it, after one last time. */
export function startHousekeeping({
  tidy,
  saveClock,
  isFaulty,
  onFault,
  everyBeat = onBeat,
}: HousekeepingOptions): () => Promise<void> {
  let told = "";
  let savedAt = performance.now();
  const tell = (error: unknown): void => {
    if (messageOf(error) !== told) onFault(error);
    told = messageOf(error);
  };
  const saveClockIfPossible = (): void => {
    savedAt = performance.now();
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
  const stop = everyBeat(() => {
    void tick();
    if (performance.now() - savedAt >= CLOCK_MS) saveClockIfPossible();
  });
  return async () => {
    stop();
    await tick();
    saveClockIfPossible();
  };
}
