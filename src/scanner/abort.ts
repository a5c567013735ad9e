import type { Entry } from "./backlog.ts";

/** Has the caller of an entry wait no longer once a signal aborts: it is told the signal's reason, after `onAbort`. */
export function stopWaiting(entry: Entry, signal: AbortSignal, onAbort: () => void): void {
  const { resolve, reject } = entry;
  const abort = (): void => {
    onAbort();
    reject(signal.reason);
  };
  const done = (): void => signal.removeEventListener("abort", abort);
  entry.resolve = (ack) => {
    done();
    resolve(ack);
  };
  entry.reject = (error) => {
    done();
    reject(error);
  };
  signal.addEventListener("abort", abort, { once: true });
}
