/** One timer for everything that has a deadline: requests come and go by the thousand, deadlines hardly ever pass. */
export interface SharedTimer {
  /** Has `run` called by a moment of the monotonic clock, or before. */
  by(moment: number): void;
  stop(): void;
}

export function createSharedTimer(run: () => void): SharedTimer {
  let due = Number.POSITIVE_INFINITY;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const fire = (): void => {
    due = Number.POSITIVE_INFINITY;
    run();
  };
  return {
    by(moment) {
      if (moment >= due) return;
      due = moment;
      clearTimeout(timer);
      timer = setTimeout(fire, Math.max(0, Math.ceil(moment - performance.now())));
    },
    stop() {
      clearTimeout(timer);
      due = Number.POSITIVE_INFINITY;
    },
  };
}
