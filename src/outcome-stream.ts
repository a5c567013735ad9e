/** What readers are told of, as it is written; the data of each is described in the API's models. */
export type OutcomeName = "event" | "attempt" | "delivery" | "webhook";

/**
 * Tells whoever reads along what happens, as server-sent events (WHATWG HTML, section 9.2). Nothing waits for a
 * reader: what one does not take in time is left out for it, and it is told how much that was.
 */
export interface OutcomeStream {
  /** Whether anybody of an organization reads: what nobody reads need not be put into words. */
  isRead(organizationUuid: string): boolean;
  /** Tells the readers of an organization. `data` is JSON in one line. */
  tell(organizationUuid: string, name: OutcomeName, data: string): void;
  /** A new reader; null when there are too many. It ends when `mayRead`, which is asked each second, says no or fails. */
  open(
    organizationUuid: string,
    mayRead: () => boolean | Promise<boolean>,
  ): ReadableStream<Uint8Array> | null;
  readers(): number;
  /** Ends every reader once it has what is there; resolves when they have, or a moment later where one does not take it. */
  close(): Promise<void>;
}

export interface OutcomeStreamOptions {
  heartbeatMs?: number;
  checkMs?: number;
  maxReaders?: number;
}

interface Reader {
  organizationUuid: string;
  mayRead: () => boolean | Promise<boolean>;
  /** Texts that it has not taken; all readers share them. */
  waiting: string[];
  /** How many were left out since. */
  missed: number;
  /** What it waits with while there is nothing. */
  wake: (() => void) | null;
  ended: boolean;
  /** Told when the end was taken. */
  onClosed: () => void;
}

/** A reader who takes nothing is this far behind before anything is left out for it: some 100 KB. */
const MAX_WAITING = 512;
const MAX_READERS = 4_096;
/** Who takes nothing is not waited for longer at the end. */
const LAST_WORDS_MS = 250;
/** Proxies close what is silent for a minute, some after half of one. */
const HEARTBEAT_MS = 15_000;
const CHECK_MS = 1_000;

const HEARTBEAT = ": heartbeat\n\n";

export function createOutcomeStream({
  heartbeatMs = HEARTBEAT_MS,
  checkMs = CHECK_MS,
  maxReaders = MAX_READERS,
}: OutcomeStreamOptions = {}): OutcomeStream {
  const byOrganization = new Map<string, Set<Reader>>();
  const encoder = new TextEncoder();
  let count = 0;
  let closed = false;
  /** Readers that have something to take, woken together at the end of the turn. */
  const woken = new Set<Reader>();

  const wakeAll = (): void => {
    for (const reader of woken) {
      reader.wake?.();
      reader.wake = null;
    }
    woken.clear();
  };

  const wake = (reader: Reader): void => {
    if (!reader.wake || woken.has(reader)) return;
    if (woken.size === 0) setImmediate(wakeAll);
    woken.add(reader);
  };

  const add = (reader: Reader, text: string): void => {
    if (reader.waiting.length >= MAX_WAITING) reader.missed += 1;
    else reader.waiting.push(text);
    wake(reader);
  };

  const take = ({ waiting, missed }: Reader): Uint8Array => {
    const told = missed > 0 ? `event: missed\ndata: {"count":${missed}}\n\n` : "";
    return encoder.encode(waiting.join("") + told);
  };

  const end = (reader: Reader): void => {
    if (reader.ended) return;
    reader.ended = true;
    count -= 1;
    const others = byOrganization.get(reader.organizationUuid);
    others?.delete(reader);
    if (others?.size === 0) byOrganization.delete(reader.organizationUuid);
    wake(reader);
    if (count === 0) stopTimers();
  };

  const all = (): Reader[] => [...byOrganization.values()].flatMap((readers) => [...readers]);

  const check = async (reader: Reader): Promise<void> => {
    try {
      if (!(await reader.mayRead())) end(reader);
    } catch {
      // A store that cannot say whether a key holds does not say that it does.
      end(reader);
    }
  };

  let timers: ReturnType<typeof setInterval>[] = [];
  const startTimers = (): void => {
    const beat = (): void => {
      for (const reader of all()) if (reader.waiting.length === 0) add(reader, HEARTBEAT);
    };
    const checkAll = (): void => {
      for (const reader of all()) void check(reader);
    };
    timers = [setInterval(beat, heartbeatMs).unref(), setInterval(checkAll, checkMs).unref()];
  };
  const stopTimers = (): void => {
    for (const timer of timers) clearInterval(timer);
    timers = [];
  };

  return {
    isRead: (organizationUuid) => byOrganization.has(organizationUuid),
    tell(organizationUuid, name, data) {
      const readers = byOrganization.get(organizationUuid);
      if (!readers) return;
      const text = `event: ${name}\ndata: ${data}\n\n`;
      for (const reader of readers) add(reader, text);
    },
    open(organizationUuid, mayRead) {
      if (closed || count >= maxReaders) return null;
      // The first bytes are sent at once: a proxy or a browser waits for them to say that the answer has begun.
      const reader: Reader = {
        organizationUuid,
        mayRead,
        waiting: [HEARTBEAT],
        missed: 0,
        wake: null,
        ended: false,
        onClosed: () => {},
      };
      const readers = byOrganization.get(organizationUuid) ?? new Set();
      byOrganization.set(organizationUuid, readers.add(reader));
      count += 1;
      if (timers.length === 0) startTimers();
      return new ReadableStream<Uint8Array>(
        {
          async pull(controller) {
            if (reader.waiting.length === 0 && !reader.ended) {
              await new Promise<void>((resolve) => {
                reader.wake = resolve;
              });
            }
            if (reader.waiting.length > 0) controller.enqueue(take(reader));
            reader.waiting = [];
            reader.missed = 0;
            if (!reader.ended) return;
            controller.close();
            reader.onClosed();
          },
          cancel: () => end(reader),
        },
        // Nothing is taken before the connection has room: what waits, waits here, where it is counted.
        { highWaterMark: 0 },
      );
    },
    readers: () => count,
    async close() {
      closed = true;
      const readers = all();
      if (readers.length === 0) return;
      const ends = readers.map(
        (reader) =>
          new Promise<void>((resolve) => {
            reader.onClosed = resolve;
          }),
      );
      for (const reader of readers) end(reader);
      await Promise.race([Promise.all(ends), Bun.sleep(LAST_WORDS_MS)]);
      // The server writes the end in a turn of its own.
      await new Promise((next) => setImmediate(next));
    },
  };
}
