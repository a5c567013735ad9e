import type { ErrorCode } from "../errors.ts";
import type { Acks } from "./acks.ts";
import { answersTo, type Batch, type BatchReader, takeEvents } from "./batch.ts";
import type { Connection } from "./client.ts";
import type { IngestEvent, StoredScan } from "./events.ts";

/**
 * Stores what the connections have sent, all that waits together, and answers once it is on disk. One batch at a time
 * is being stored, so that acks keep the order of the lines; any number of stored ones wait for the disk, and are
 * answered in order.
 */
export interface GroupCommit {
  /** Has waiting lines stored soon, unless they are better left until the disk has what was stored before. */
  schedule(): void;
  /** Stores and answers what waits, and takes no more. Never rejects. */
  finish(): Promise<void>;
}

export interface GroupCommitOptions {
  /** Connections with lines to take, in the order in which they are served. */
  waiting: Set<Connection>;
  reader: BatchReader;
  acks: Acks;
  /** Stores a batch in one transaction and answers for each; rejects when none could be stored. */
  store: (batch: readonly IngestEvent[]) => Promise<readonly StoredScan[]>;
  /** Calls back, in the order of the calls, once all that was stored so far is on disk; with an error when it may not be. */
  whenDurable: (done: (error: Error | null) => void) => void;
  /** Bytes of lines that wait for their turn. */
  queued: () => number;
  /** Lines of a connection were taken: they wait for their turn no longer. */
  onTaken: (socket: Connection) => void;
  /** The answers to lines of one connection, all of one batch. */
  onAnswer: (socket: Connection, text: string) => void;
  /** Called after each batch was stored, and after each was answered. */
  onMoved: () => void;
  onRefused: (code: ErrorCode) => void;
  onFault: (error: unknown) => void;
}

/** Lines that were read and whose answers wait for the disk; past this, no more are stored. */
const MAX_UNANSWERED_LINES = 8 * 1024;
/** While more lines than a few wait for the disk, a transaction must be worth it: less is stored with what comes until then. */
const FEW_LINES = 64;
const WORTH_STORING_BYTES = 16 * 1024;

export function createGroupCommit(options: GroupCommitOptions): GroupCommit {
  const { waiting, reader, acks, onFault } = options;
  let unanswered = 0;
  let scheduled = false;
  let finished = false;
  let storing = Promise.resolve();

  const mustWait = (): boolean =>
    unanswered >= MAX_UNANSWERED_LINES || (unanswered >= FEW_LINES && options.queued() < WORTH_STORING_BYTES);

  const schedule = (): void => {
    if (scheduled || finished || waiting.size === 0 || mustWait()) return;
    scheduled = true;
    setImmediate(() => {
      if (!finished) storing = storeNext();
    });
  };

  /** Rejects never: what cannot be stored is answered so. */
  const storeNext = async (): Promise<void> => {
    const batch = reader.take(waiting);
    const isFirst = unanswered === 0;
    note(batch, 1);
    if (batch.isUnplaced) await reader.place(batch);
    const events = takeEvents(batch);
    const stored = events.length === 0 ? [] : await storeEvents(events);
    scheduled = false;
    // Nothing that it says, nor anything before it, waits for the disk.
    if (isFirst && (stored === null || stored.length === 0)) answer(batch, stored);
    else options.whenDurable((error) => answerDurable(batch, stored, error));
    options.onMoved();
    schedule();
  };

  const note = ({ entries, lines }: Batch<Connection>, change: 1 | -1): void => {
    unanswered += change * lines;
    for (const socket of entries.keys()) {
      socket.data.unanswered += change;
      if (change === 1) options.onTaken(socket);
    }
  };

  const storeEvents = async (events: readonly IngestEvent[]): Promise<readonly StoredScan[] | null> => {
    try {
      return await options.store(events);
    } catch (error) {
      fail(error, events.length);
      return null;
    }
  };

  /** So many events are not stored, or not known to be. */
  const fail = (error: unknown, events: number): void => {
    onFault(error);
    for (let n = 0; n < events; n += 1) options.onRefused("UNAVAILABLE");
  };

  const answerDurable = (
    batch: Batch<Connection>,
    stored: readonly StoredScan[] | null,
    error: Error | null,
  ): void => {
    if (error !== null) fail(error, stored?.length ?? 0);
    answer(batch, error === null ? stored : null);
    options.onMoved();
    schedule();
  };

  const answer = (batch: Batch<Connection>, stored: readonly StoredScan[] | null): void => {
    note(batch, -1);
    for (const [socket, text] of answersTo(batch, stored, acks)) options.onAnswer(socket, text);
  };

  return {
    schedule,
    async finish() {
      finished = true;
      await storing;
      while (waiting.size > 0) await storeNext();
    },
  };
}
