import type { AttemptRecord, DeliveryStore, WebhookOutcome } from "../store/sqlite/deliveries.ts";
import type { Lane } from "./lane.ts";

/** Writes attempt results, all that are waiting in one transaction. */
export interface AttemptRecorder {
  /** `written` is called once the record is in the database. */
  add(lane: Lane, record: AttemptRecord, written: () => void): void;
  /** Writes now what is waiting, unless the store cannot write: then that is tried again by itself. */
  flush(): void;
  /** True after a failed write until one succeeds: nothing new should be attempted meanwhile. */
  readonly stuck: boolean;
}

export interface RecorderOptions {
  store: DeliveryStore;
  /** Called after each transaction, when all of its `written` functions have run. */
  onWritten: () => void;
  /** A `written` function has thrown. */
  onFault: (error: unknown) => void;
  /** Attempts under way, those whose results wait here included. */
  inFlight: () => number;
  /** The latest delivery id that was given. */
  lastId: () => number;
}

const RETRY_MS = 250;
/** Under load a result waits at most this long, since the last transaction, for others to share the next. */
const GATHER_MS = 2;

export function createAttemptRecorder({
  store,
  onWritten,
  onFault,
  lastId,
  inFlight,
}: RecorderOptions): AttemptRecorder {
  let records: AttemptRecord[] = [];
  let callbacks: (() => void)[] = [];
  let lanes = new Set<Lane>();
  let scheduled = false;
  let gathering: ReturnType<typeof setTimeout> | undefined;
  let stuck = false;
  let flushedAt = 0;

  const outcomes = (): WebhookOutcome[] => [...lanes].map((lane) => outcomeOf(lane, lastId()));

  const flush = (): void => {
    scheduled = false;
    clearTimeout(gathering);
    gathering = undefined;
    if (records.length === 0) return;
    flushedAt = performance.now();
    try {
      store.recordAttempts(records, outcomes());
    } catch {
      // The transaction was rolled back and the store has said why: keep everything, try again soon.
      stuck = true;
      scheduled = true;
      setTimeout(flush, RETRY_MS);
      return;
    }
    stuck = false;
    const done = callbacks;
    records = [];
    callbacks = [];
    lanes = new Set();
    for (const written of done) {
      try {
        written();
      } catch (error) {
        // The others' slots must be given back all the same.
        onFault(error);
      }
    }
    onWritten();
  };

  const schedule = (): void => {
    scheduled = true;
    setImmediate(flush);
  };

  /** What is under way may hang: without load a result does not wait for it. */
  const gather = (): ReturnType<typeof setTimeout> | undefined => {
    const wait = flushedAt + GATHER_MS - performance.now();
    if (wait > 0) return setTimeout(flush, wait);
    schedule();
    return undefined;
  };

  return {
    add(lane, record, written) {
      records.push(record);
      callbacks.push(written);
      lanes.add(lane);
      if (scheduled) return;
      // Worth a transaction once as many wait as are still under way: then the receivers are kept busy
      // while it is written.
      if (records.length * 2 >= inFlight()) schedule();
      else gathering ??= gather();
    },
    flush: () => {
      if (!stuck) flush();
    },
    get stuck() {
      return stuck;
    },
  };
}

function outcomeOf(lane: Lane, endThrough: number): WebhookOutcome {
  const { webhookId, failureCount, lastTriggeredAt, lastSuccessAt, triedThrough, disabledReason } = lane;
  return {
    webhookId,
    failureCount,
    lastTriggeredAt: lastTriggeredAt ?? 0,
    lastSuccessAt,
    triedThrough,
    disabledReason,
    endThrough,
  };
}
