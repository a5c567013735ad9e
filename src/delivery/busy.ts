/** Below this nothing is known yet: what is measured comes in steps of a millisecond or more. */
const LOOK_MS = 10;
/** Of one processor, all threads of the process together. */
const BUSY_SHARE = 0.7;

/** So many handshakes under way take some milliseconds: half a millisecond each with both ends on one machine (`bun run bench many-names`). */
const MANY_HANDSHAKES = 16;

/** Whether connections are being opened faster than there is processor time for: then those that are there are worth waiting for. */
export function createRush(connecting: () => number, isBusy = createBusy()): () => boolean {
  return () => connecting() > MANY_HANDSHAKES && isBusy();
}

/**
 * Whether the process has been taking nearly a whole processor for the last moments: then more requests in flight get
 * nothing through sooner. A look is taken when it is asked for, and at most each 10 ms (a microsecond or two).
 */
export function createBusy(
  now: () => number = () => performance.now(),
  usedMs: () => number = processorMs,
): () => boolean {
  let at = now();
  let used = usedMs();
  let isBusy = false;
  return () => {
    const passed = now() - at;
    if (passed < LOOK_MS) return isBusy;
    const usedNow = usedMs();
    isBusy = (usedNow - used) / passed > BUSY_SHARE;
    at += passed;
    used = usedNow;
    return isBusy;
  };
}

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
