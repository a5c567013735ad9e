import type { DisabledReason } from "../outcomes.ts";
import type {
  AttemptRecord,
  DeliveryQueue,
  Ending,
  Recorded,
  WebhookDelta,
} from "../store/delivery-queue.ts";
import { isStoreFault } from "../store/faults.ts";

/** What one request came to: a record for each delivery that it carried, written together. */
export interface Result {
  webhookId: number;
  /** Where it was sent to. */
  url: string;
  records: readonly AttemptRecord[];
  /** Whether it got through, or counts among the webhook's failures in a row, or neither. */
  counts: "success" | "failure" | "neither";
  /** Schedule time of its end. */
  endedAt: number;
  /** Schedule time until which the receiver has asked to wait; null when it has not. */
  pausedUntil: number | null;
  disabledReason: DisabledReason | null;
}

/** What is to be known of the transaction that a result was written in. */
export interface WrittenWith {
  /** Webhooks that were given up with it. */
  givenUp: ReadonlySet<number>;
  /** Deliveries that were retried by hand meanwhile: they are no longer in the hands of who attempted them. */
  renewed: ReadonlySet<number>;
}

type Written = (transaction: WrittenWith) => void;

/** Writes attempt results, all that are waiting in one transaction. */
export interface AttemptRecorder {
  /** `written` is called once the result is in the store. */
  add(result: Result, written: Written): void;
  /** Resolves once what was added so far is in the store, or the store has failed: then it is tried again by itself. */
  flush(): Promise<void>;
  /** True after a failed write until one succeeds: nothing new should be attempted meanwhile. */
  readonly isStuck: boolean;
}

export interface RecorderOptions {
  queue: Pick<DeliveryQueue, "record">;
  /** Called after each transaction, when all of its `written` functions have run. */
  onWritten: () => void;
  /** A webhook was given up with a transaction. */
  onEnding: (ending: Ending) => void;
  /** A fault of ours: a `written` function has thrown, or the store has refused what it should take. */
  onFault: (error: unknown) => void;
}

const RETRY_MS = 250;

export function createAttemptRecorder({
  queue,
  onWritten,
  onEnding,
  onFault,
}: RecorderOptions): AttemptRecorder {
  let waiting = createBatch();
  let isScheduled = false;
  let writing: Promise<void> | null = null;
  let isStuck = false;

  const write = async (batch: Batch): Promise<void> => {
    let recorded: Recorded;
    try {
      recorded = await queue.record(batch.records, [...batch.deltas.values()]);
    } catch (error) {
      // Nothing of it was written: keep everything, try again soon. The store itself says why it cannot write.
      if (!isStoreFault(error)) onFault(error);
      isStuck = true;
      waiting = joined(batch, waiting);
      setTimeout(begin, RETRY_MS);
      return;
    }
    isStuck = false;
    const { endings, renewed } = recorded;
    const transaction = { givenUp: new Set(endings.map(({ webhookId }) => webhookId)), renewed };
    for (const written of batch.callbacks) {
      try {
        written(transaction);
      } catch (error) {
        // The others' slots must be given back all the same.
        onFault(error);
      }
    }
    endings.forEach(onEnding);
    onWritten();
  };

  /** One write is under way at a time; what comes meanwhile shares the next. */
  const begin = (): void => {
    if (writing || waiting.records.length === 0) return;
    const batch = waiting;
    waiting = createBatch();
    writing = write(batch).finally(() => {
      writing = null;
      scheduleIfAny();
    });
  };

  /** While the store has failed, only the pause's end begins a write. */
  const scheduleIfAny = (): void => {
    if (isScheduled || isStuck || writing || waiting.records.length === 0) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      if (!isStuck) begin();
    });
  };

  return {
    add(result, written) {
      addTo(waiting, result);
      waiting.callbacks.push(written);
      scheduleIfAny();
    },
    async flush() {
      if (writing) await writing;
      if (isStuck) return;
      begin();
      await writing;
    },
    get isStuck() {
      return isStuck;
    },
  };
}

interface Batch {
  records: AttemptRecord[];
  deltas: Map<number, WebhookDelta>;
  callbacks: Written[];
}

function createBatch(): Batch {
  return { records: [], deltas: new Map(), callbacks: [] };
}

function addTo({ records, deltas }: Batch, result: Result): void {
  const { webhookId, url, counts, endedAt } = result;
  let delta = deltas.get(webhookId);
  if (!delta) {
    delta = unchanged(webhookId, url);
    deltas.set(webhookId, delta);
  }
  for (const record of result.records) {
    records.push(record);
    delta.lastTriggeredAt = Math.max(delta.lastTriggeredAt, record.startedAt);
  }
  if (saysOfReceiver(result)) {
    // What the receiver before has said counts no more.
    if (delta.url !== url) Object.assign(delta, { url, pausedUntil: null, disabledReason: null });
    delta.pausedUntil = result.pausedUntil ?? delta.pausedUntil;
    delta.disabledReason ??= result.disabledReason;
  }
  if (counts === "failure") delta.failures += 1;
  if (counts !== "success") return;
  delta.succeeded = true;
  delta.failures = 0;
  delta.lastSuccessAt = endedAt;
}

function saysOfReceiver({
  pausedUntil,
  disabledReason,
}: Pick<Result, "pausedUntil" | "disabledReason">): boolean {
  return pausedUntil !== null || disabledReason !== null;
}

function unchanged(webhookId: number, url: string): WebhookDelta {
  return {
    webhookId,
    url,
    succeeded: false,
    failures: 0,
    lastTriggeredAt: 0,
    lastSuccessAt: null,
    pausedUntil: null,
    disabledReason: null,
  };
}

function merged(before: WebhookDelta, after: WebhookDelta): WebhookDelta {
  const latest = saysOfReceiver(after) ? after : before;
  const isSame = before.url === after.url;
  return {
    webhookId: after.webhookId,
    url: latest.url,
    succeeded: before.succeeded || after.succeeded,
    failures: after.succeeded ? after.failures : before.failures + after.failures,
    lastTriggeredAt: Math.max(before.lastTriggeredAt, after.lastTriggeredAt),
    lastSuccessAt: after.lastSuccessAt ?? before.lastSuccessAt,
    pausedUntil: isSame ? (after.pausedUntil ?? before.pausedUntil) : latest.pausedUntil,
    disabledReason: isSame ? (before.disabledReason ?? after.disabledReason) : latest.disabledReason,
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
