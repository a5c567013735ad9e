/** Milliseconds on a clock that all processes of one run share. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}
