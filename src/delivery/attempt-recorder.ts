import type { DisabledReason } from "../outcomes.ts";
import type { AttemptRecord, DeliveryQueue, Ending, WebhookDelta } from "../store/delivery-queue.ts";
import { isStoreFault } from "../store/faults.ts";

/** What one request came to: a record for each delivery that it carried, written together. */
export interface Result {
  webhookId: number;
  records: readonly AttemptRecord[];
  /** Whether it got through, or counts among the webhook's failures in a row, or neither. */
  counts: "success" | "failure" | "neither";
  /** Schedule time of its end. */
  endedAt: number;
  /** Schedule time until which the receiver has asked to wait; null when it has not. */
  pausedUntil: number | null;
  disabledReason: DisabledReason | null;
}

/** Writes attempt results, all that are waiting in one transaction. */
export interface AttemptRecorder {
  /** `written` is called once the result is in the store. */
  add(result: Result, written: () => void): void;
  /** Resolves once what was added so far is in the store, or the store has failed: then it is tried again by itself. */
  flush(): Promise<void>;
  /** True after a failed write until one succeeds: nothing new should be attempted meanwhile. */
  readonly isStuck: boolean;
}

export interface RecorderOptions {
  queue: Pick<DeliveryQueue, "record" | "isRemote">;
  /** Called after each transaction, when all of its `written` functions have run. */
  onWritten: () => void;
  /** A webhook was given up with a transaction. */
  onEnding: (ending: Ending) => void;
  /** A fault of ours: a `written` function has thrown, or the store has refused what it should take. */
  onFault: (error: unknown) => void;
  /** Requests under way, those whose results wait here included. */
  inFlight: () => number;
}

const RETRY_MS = 250;
/** Under load a result waits at most this long, since the last transaction, for others to share the next. */
const GATHER_MS = 2;
/**
 * Writes under way at once, where the store is remote: while it writes one half of what is in flight, the other half is
 * sent and answered. Else each would wait for the other, as the answers to all that was sent come while it is written.
 */
const REMOTE_WRITES = 2;
/** Fewer results than this are not worth a transaction of their own. */
const LEAST_SHARE = 64;

export function createAttemptRecorder({
  queue,
  onWritten,
  onEnding,
  onFault,
  inFlight,
}: RecorderOptions): AttemptRecorder {
  const mostWrites = queue.isRemote ? REMOTE_WRITES : 1;
  /** What waits, in order: batches that are full, and one that takes more. */
  let waiting = [createBatch()];
  const writing = new Set<Promise<void>>();
  /** What could not be written, until all that is under way has ended: then it goes before what waits. */
  let failed: Batch | null = null;
  let isScheduled = false;
  let gathering: ReturnType<typeof setTimeout> | undefined;
  /** What waits is to be written as soon as a write has ended. */
  let isDue = false;
  let isStuck = false;
  let writtenAt = 0;
  /** How many results there were, and how many of them are written. */
  let [added, told] = [0, 0];

  const store = async (batch: Batch): Promise<readonly Ending[] | null> => {
    try {
      const endings = await queue.record(batch.records, [...batch.deltas.values()]);
      isStuck = failed !== null;
      return endings;
    } catch (error) {
      // Nothing of it was written: keep everything, try again soon. The store itself says why it cannot write.
      if (!isStoreFault(error)) onFault(error);
      isStuck = true;
      failed = failed ? joined(failed, batch) : batch;
      return null;
    }
  };

  const tell = (batch: Batch, endings: readonly Ending[]): void => {
    for (const written of batch.callbacks) {
      try {
        written();
      } catch (error) {
        // The others' slots must be given back all the same.
        onFault(error);
      }
    }
    told += batch.callbacks.length;
    endings.forEach(onEnding);
    onWritten();
  };

  const tryAgainLater = (batch: Batch): void => {
    failed = null;
    waiting = [waiting.reduce(joined, batch)];
    isDue = false;
    isScheduled = true;
    setTimeout(begin, RETRY_MS);
  };

  const end = async (batch: Batch, endings: readonly Ending[] | null): Promise<void> => {
    if (failed && writing.size === 0) tryAgainLater(failed);
    if (!endings) return;
    if (isDue) {
      begin();
      // A remote store is sent the next one at the end of this turn, before what this one has freed takes its time.
      await new Promise(setImmediate);
    }
    tell(batch, endings);
  };

  /** Writes what waits, or has it written once a write has ended; what comes meanwhile shares the next. */
  const begin = (): void => {
    isScheduled = false;
    clearTimeout(gathering);
    gathering = undefined;
    isDue = writing.size === mostWrites || failed !== null;
    if (isDue || waiting[0]?.records.length === 0) return;
    const batch = waiting.shift() as Batch;
    if (waiting.length === 0) waiting.push(createBatch());
    writtenAt = performance.now();
    const write = store(batch).then((endings) => {
      writing.delete(write);
      return end(batch, endings);
    });
    writing.add(write);
    if (waiting.length > 1) begin();
    else if (waiting[0]?.records.length !== 0) gathering = gather();
  };

  /** Whether a result is to go into the next batch. */
  const isFull = ({ callbacks }: Batch): boolean =>
    mostWrites > 1 && callbacks.length >= LEAST_SHARE && callbacks.length >= inFlight() / mostWrites;

  const schedule = (): void => {
    isScheduled = true;
    setImmediate(begin);
  };

  /** What is under way may hang: without load a result does not wait for it. */
  const gather = (): ReturnType<typeof setTimeout> | undefined => {
    const wait = writtenAt + GATHER_MS - performance.now();
    if (wait > 0) return setTimeout(begin, wait);
    schedule();
    return undefined;
  };

  return {
    add(result, written) {
      let batch = waiting[waiting.length - 1] as Batch;
      if (isFull(batch)) {
        batch = createBatch();
        waiting.push(batch);
      }
      addTo(batch, result);
      batch.callbacks.push(written);
      added += 1;
      if (isScheduled || isDue) return;
      // Worth a transaction once as many wait as are still under way: then the receivers are kept busy
      // while it is written.
      if (batch.callbacks.length * 2 >= inFlight()) schedule();
      else gathering ??= gather();
    },
    async flush() {
      const until = added;
      while (told < until && !isStuck) {
        begin();
        await Promise.all(writing);
      }
    },
    get isStuck() {
      return isStuck;
    },
  };
}

interface Batch {
  records: AttemptRecord[];
  deltas: Map<number, WebhookDelta>;
  callbacks: (() => void)[];
}

function createBatch(): Batch {
  return { records: [], deltas: new Map(), callbacks: [] };
}

function addTo({ records, deltas }: Batch, result: Result): void {
  const { webhookId, counts, endedAt } = result;
  let delta = deltas.get(webhookId);
  if (!delta) {
    delta = unchanged(webhookId);
    deltas.set(webhookId, delta);
  }
  for (const record of result.records) {
    records.push(record);
    delta.lastTriggeredAt = Math.max(delta.lastTriggeredAt, record.startedAt);
  }
  delta.pausedUntil = result.pausedUntil ?? delta.pausedUntil;
  delta.disabledReason ??= result.disabledReason;
  if (counts === "failure") delta.failures += 1;
  if (counts !== "success") return;
  delta.succeeded = true;
  delta.failures = 0;
  delta.lastSuccessAt = endedAt;
}

function unchanged(webhookId: number): WebhookDelta {
  return {
    webhookId,
    succeeded: false,
    failures: 0,
    lastTriggeredAt: 0,
    lastSuccessAt: null,
    pausedUntil: null,
    disabledReason: null,
  };
}

function merged(before: WebhookDelta, after: WebhookDelta): WebhookDelta {
  return {
    webhookId: after.webhookId,
    succeeded: before.succeeded || after.succeeded,
    failures: after.succeeded ? after.failures : before.failures + after.failures,
    lastTriggeredAt: Math.max(before.lastTriggeredAt, after.lastTriggeredAt),
    lastSuccessAt: after.lastSuccessAt ?? before.lastSuccessAt,
    pausedUntil: after.pausedUntil ?? before.pausedUntil,
    disabledReason: before.disabledReason ?? after.disabledReason,
  };
}

function joined(before: Batch, after: Batch): Batch {
  const deltas = new Map(before.deltas);
  for (const delta of after.deltas.values()) {
    const first = deltas.get(delta.webhookId);
    deltas.set(delta.webhookId, first ? merged(first, delta) : delta);
  }
  return {
    records: before.records.concat(after.records),
    deltas,
    callbacks: before.callbacks.concat(after.callbacks),
  };
}
