import { ScannerError } from "./errors.ts";

export interface ScannerOptions {
  /** Path of the daemon's socket: its `--socket`. */
  socket: string;
  /** Most bytes of events that are kept until they are acked, as JSON; 64 MiB when left out. */
  maxBytes?: number | undefined;
  /**
   * Told of each failure to reach the daemon, for the log: the client goes on by itself. `retryInMs` is when.
   * Its `code` is `CONNECTION_LOST`, `UNAVAILABLE` (the daemon cannot store now) or `BAD_ANSWER`.
   */
  onProblem?: ((error: ScannerError, retryInMs: number) => void) | undefined;
}

export interface SendOptions {
  /** Ends the waiting, not the event: if it was written already it may be stored. */
  signal?: AbortSignal | undefined;
}

export interface CloseOptions {
  /** Milliseconds to wait for the last ack; without end when left out. */
  timeout?: number | undefined;
}

const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;

/** The options in full. Throws ScannerError when one of them makes no sense. */
export function checkOptions(options: ScannerOptions) {
  const { socket, maxBytes = DEFAULT_MAX_BYTES, onProblem = () => {} } = options;
  if (typeof socket !== "string" || socket === "") {
    throw new ScannerError("socket must be the path of the daemon's socket", "INVALID_ARGUMENT");
  }
  if (!(maxBytes > 0)) throw new ScannerError("maxBytes must be a number over 0", "INVALID_ARGUMENT");
  return { socket, maxBytes, onProblem };
}
