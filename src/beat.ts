/**
 * What is looked at again and again is looked at together: a daemon at rest wakes up once for all of it, not once for
 * each. Each time costs it about a tenth of a millisecond of processor time, most of it the runtime's.
 */

/** What others change is honoured within a second (docs/CONTRACT.md, section 1), with some time to do so. */
export const BEAT_MS = 900;

const runs = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

/** Has `run`, which must not throw, called with each beat; answers what ends that. The process may end meanwhile. */
export function onBeat(run: () => void): () => void {
  runs.add(run);
  timer ??= setInterval(beat, BEAT_MS).unref();
  return () => {
    runs.delete(run);
    if (runs.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

function beat(): void {
  for (const run of runs) run();
}
