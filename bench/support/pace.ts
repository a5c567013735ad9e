/** Calls `act` with 0 … count - 1, so many times a second, late ones at once. */
export function steadily(rate: number, count: number, act: (sequence: number) => void): Promise<void> {
  const start = performance.now();
  let next = 0;
  return new Promise((resolve) => {
    const step = (): void => {
      const due = Math.floor(((performance.now() - start) / 1000) * rate) + 1;
      for (; next < Math.min(due, count); next += 1) act(next);
      if (next === count) resolve();
      else setTimeout(step, Math.max(0, start + (next / rate) * 1000 - performance.now()));
    };
    step();
  });
}
