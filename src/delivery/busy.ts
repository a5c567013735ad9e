/** Below this nothing is known yet: what is measured comes in steps of a millisecond or more. */
const LOOK_MS = 10;
/** Of one processor. */
const BUSY_SHARE = 0.6;

/** So many TLS handshakes take some milliseconds: half a millisecond each with both ends on one machine (`bun run bench many-names`). */
const MANY_HANDSHAKES = 16;

/** Whether connections are being opened faster than there is processor time for: then those that are there are worth waiting for. */
export function createRush(handshakes: () => number, isBusy = createBusy()): () => boolean {
  return () => handshakes() > MANY_HANDSHAKES && isBusy();
}

/**
 * Whether the main thread has been working for nearly all of the last moments: then more requests in flight get nothing
 * through sooner, since handshakes are made on it alone. A look is taken when it is asked for, and at most each 10 ms
 * (a microsecond or less).
 */
export function createBusy(
  now: () => number = () => performance.now(),
  usedMs: () => number = threadMs,
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

/** Of the thread that calls it. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
