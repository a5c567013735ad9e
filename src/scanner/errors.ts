/** What a scanner's author may branch on; see each class of error. */
export type ScannerErrorCode =
  | "VALIDATION_ERROR"
  | "PAYLOAD_TOO_LARGE"
  | "NOT_FOUND"
  | "UNAVAILABLE"
  | "CONNECTION_LOST"
  | "BAD_ANSWER"
  | "FULL"
  | "CLOSED"
  | "TIMEOUT"
  | "INVALID_ARGUMENT";

/** Every failure of the scanner client. */
export class ScannerError extends Error {
  // Written out, as a minified class has another name.
  override readonly name: string = "ScannerError";
  readonly code: ScannerErrorCode | (string & {});

  constructor(message: string, code: ScannerErrorCode | (string & {}), cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/**
 * The daemon refuses this event, and would again: `VALIDATION_ERROR` (the message names the field),
 * `PAYLOAD_TOO_LARGE` (over 256 KiB) or `NOT_FOUND` (no such organization). The other events are not touched.
 */
export class EventRefusedError extends ScannerError {
  override readonly name: string = "EventRefusedError";
  /** The event's own id: the one that it was given, or the one that the client made. */
  readonly id: string;

  constructor(message: string, code: string, id: string, cause?: unknown) {
    super(message, code, cause);
    this.id = id;
  }
}

/** `FULL`: as much is unacked as the client may keep; nothing was taken of this event. `ready()` waits for room. */
export class ScannerFullError extends ScannerError {
  override readonly name: string = "ScannerFullError";
}

/** `CLOSED`: the client was closed; what was still unacked may have been stored or not. */
export class ScannerClosedError extends ScannerError {
  override readonly name: string = "ScannerClosedError";
}

/** `TIMEOUT`: `close` was given up with events unacked. */
export class ScannerTimeoutError extends ScannerError {
  override readonly name: string = "ScannerTimeoutError";
}

export function closedError(): ScannerClosedError {
  return new ScannerClosedError("the scanner client is closed", "CLOSED");
}

export function lostError(path: string, cause: Error | null): ScannerError {
  const reason = cause ? `: ${cause.message}` : "";
  return new ScannerError(`no connection to the daemon at ${path}${reason}`, "CONNECTION_LOST", cause);
}

export function fullError(unacked: number, maxBytes: number): ScannerFullError {
  const message = `${unacked} events are unacked, as many as maxBytes (${maxBytes}) allows: wait for ready(), and see that the daemon runs`;
  return new ScannerFullError(message, "FULL");
}

/** `timeout` is in milliseconds. */
export function unackedError(left: number, timeout: number): ScannerTimeoutError {
  const message = `${left} ${left === 1 ? "event was" : "events were"} not acked within ${timeout} ms`;
  return new ScannerTimeoutError(message, "TIMEOUT");
}
