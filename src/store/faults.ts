/**
 * The store could not do its work: the disk is full or fails, the database is locked, away or read-only. What was
 * asked for has not happened, unless the method says otherwise, and may be asked for again. Its message is for the
 * operator's log, never for a caller. Anything else that a store's method rejects with is a fault of ours, but for
 * the errors that the method names.
 */
export class StoreFault extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StoreFault";
  }
}

/** Whether the store could not do its work, rather than refuse ours. */
export function isStoreFault(error: unknown): error is StoreFault {
  return error instanceof StoreFault;
}
