/** What readers are told of, as it is written; the data of each is described in the API's models. */
export type OutcomeName = "event" | "attempt" | "delivery" | "webhook";

/**
 * Tells whoever reads along what happens, as server-sent events (WHATWG HTML, section 9.2). Nothing waits for a
 * reader: what comes within a moment is put into words once, for all readers of an organization, and what is too
 * much for that moment, or for a reader who is slow, is left out and counted.
 */
export interface OutcomeStream {
  /** Whether anybody of an organization reads: what nobody reads need not be looked at. */
  isRead(organizationUuid: string): boolean;
  /** Tells the readers of an organization. `data` makes JSON in one line; it is not asked for what will be left out. */
  tell(organizationUuid: string, name: OutcomeName, data: () => string): void;
  /** A new reader; null when there are too many. It ends when `mayRead`, which is asked each second, says no or fails. */
  open(
    organizationUuid: string,
    mayRead: () => boolean | Promise<boolean>,
  ): ReadableStream<Uint8Array> | null;
  /** Ends every reader once it has what is there; resolves when they have, or a moment later where one does not take it. */
  close(): Promise<void>;
}

export interface OutcomeStreamOptions {
  heartbeatMs?: number;
  checkMs?: number;
  maxReaders?: number;
}

interface Reader {
  mayRead: () => boolean | Promise<boolean>;
  /** What it takes next; shared by all readers that have nothing else to be told. */
  waiting: Uint8Array | null;
  /** How much was left out for it since. */
  missed: number;
  /** What it waits with while there is nothing. */
  wake: (() => void) | null;
  ended: boolean;
  /** Told when the end was taken. */
  onClosed: () => void;
}

/** The readers of one organization, and what they will be told next. */
interface Channel {
  readers: Set<Reader>;
  texts: string[];
  length: number;
  /** How much there was no room for. */
  leftOut: number;
  timer: ReturnType<typeof setTimeout> | null;
  toldAt: number;
}

const MAX_READERS = 4_096;
/** Moments are this long with one reader, and longer with many: each is a write for each of them. */
const MOMENT_MS = 20;
const MOMENT_MS_EACH = 0.25;
/** What is told in one moment, in characters. A reader who takes nothing has up to twice as much in memory. */
const MOST_TOLD = 256 * 1024;
const LEAST_TOLD = 16 * 1024;
const TOLD_TO_ALL = 2 * 1024 * 1024;
/** Who takes nothing is not waited for longer at the end. */
const LAST_WORDS_MS = 250;
/** Proxies close what is silent for a minute, some after half of one. */
const HEARTBEAT_MS = 15_000;
const CHECK_MS = 1_000;

const encoder = new TextEncoder();
const HEARTBEAT = encoder.encode(": heartbeat\n\n");

export function createOutcomeStream({
  heartbeatMs = HEARTBEAT_MS,
  checkMs = CHECK_MS,
  maxReaders = MAX_READERS,
}: OutcomeStreamOptions = {}): OutcomeStream {
  const channels = new Map<string, Channel>();
  let count = 0;
  let closed = false;
  let timers: ReturnType<typeof setInterval>[] = [];

  const momentMs = (): number => MOMENT_MS + count * MOMENT_MS_EACH;
  const mostTold = (): number => Math.max(LEAST_TOLD, Math.min(MOST_TOLD, TOLD_TO_ALL / Math.max(1, count)));

  const wake = (reader: Reader): void => {
    reader.wake?.();
    reader.wake = null;
  };

  const give = (reader: Reader, bytes: Uint8Array, outcomes: number): void => {
    if (reader.waiting) {
      reader.missed += outcomes;
      return;
    }
    reader.waiting = reader.missed === 0 ? bytes : Buffer.concat([missedNotice(reader.missed), bytes]);
    reader.missed = 0;
    wake(reader);
  };

  /** Tells what has come in this moment. */
  const tellAll = (channel: Channel): void => {
    if (channel.timer) clearTimeout(channel.timer);
    const { texts, leftOut, readers } = channel;
    Object.assign(channel, { texts: [], length: 0, leftOut: 0, timer: null, toldAt: performance.now() });
    if (texts.length === 0) return;
    const words = encoder.encode(texts.join(""));
    const bytes = leftOut === 0 ? words : Buffer.concat([words, missedNotice(leftOut)]);
    for (const reader of readers) give(reader, bytes, texts.length + leftOut);
  };

  const end = (channel: Channel, organizationUuid: string, reader: Reader): void => {
    if (reader.ended) return;
    reader.ended = true;
    count -= 1;
    channel.readers.delete(reader);
    if (channel.readers.size === 0) {
      if (channel.timer) clearTimeout(channel.timer);
      channels.delete(organizationUuid);
    }
    wake(reader);
    if (count === 0) stopTimers();
  };

  const check = async (channel: Channel, organizationUuid: string, reader: Reader): Promise<void> => {
    try {
      if (!(await reader.mayRead())) end(channel, organizationUuid, reader);
    } catch {
      // A store that cannot say whether a key holds does not say that it does.
      end(channel, organizationUuid, reader);
    }
  };

  const startTimers = (): void => {
    const beat = (): void => {
      for (const { readers } of channels.values()) for (const reader of readers) give(reader, HEARTBEAT, 0);
    };
    const checkAll = (): void => {
      for (const [uuid, channel] of channels) {
        for (const reader of channel.readers) void check(channel, uuid, reader);
      }
    };
    timers = [setInterval(beat, heartbeatMs).unref(), setInterval(checkAll, checkMs).unref()];
  };
  const stopTimers = (): void => {
    for (const timer of timers) clearInterval(timer);
    timers = [];
  };

  const channelOf = (organizationUuid: string): Channel => {
    const known = channels.get(organizationUuid);
    if (known) return known;
    const made = { readers: new Set<Reader>(), texts: [], length: 0, leftOut: 0, timer: null, toldAt: 0 };
    channels.set(organizationUuid, made);
    return made;
  };

  return {
    isRead: (organizationUuid) => channels.has(organizationUuid),
    tell(organizationUuid, name, data) {
      const channel = channels.get(organizationUuid);
      if (!channel) return;
      if (channel.length >= mostTold()) {
        channel.leftOut += 1;
        return;
      }
      const text = `event: ${name}\ndata: ${data()}\n\n`;
      channel.texts.push(text);
      channel.length += text.length;
      if (channel.timer) return;
      const wait = channel.toldAt + momentMs() - performance.now();
      channel.timer = setTimeout(tellAll, Math.max(0, wait), channel);
    },
    open(organizationUuid, mayRead) {
      if (closed || count >= maxReaders) return null;
      const channel = channelOf(organizationUuid);
      // What came before is for those who were there.
      tellAll(channel);
      // The first bytes are sent at once: a proxy or a browser waits for them to say that the answer has begun.
      const reader: Reader = {
        mayRead,
        waiting: HEARTBEAT,
        missed: 0,
        wake: null,
        ended: false,
        onClosed: () => {},
      };
      channel.readers.add(reader);
      count += 1;
      if (timers.length === 0) startTimers();
      return new ReadableStream<Uint8Array>(
        {
          async pull(controller) {
            if (!reader.waiting && !reader.ended) {
              await new Promise<void>((resolve) => {
                reader.wake = resolve;
              });
            }
            if (reader.waiting) controller.enqueue(reader.waiting);
            reader.waiting = null;
            if (!reader.ended) return;
            controller.close();
            reader.onClosed();
          },
          cancel: () => end(channel, organizationUuid, reader),
        },
        // Nothing is taken before the connection has room: what waits, waits here, where it is counted.
        { highWaterMark: 0 },
      );
    },
    async close() {
      closed = true;
      const ends: Promise<void>[] = [];
      for (const [uuid, channel] of channels) {
        tellAll(channel);
        for (const reader of channel.readers) {
          ends.push(
            new Promise<void>((resolve) => {
              reader.onClosed = resolve;
            }),
          );
          end(channel, uuid, reader);
        }
      }
      if (ends.length === 0) return;
      await Promise.race([Promise.all(ends), Bun.sleep(LAST_WORDS_MS)]);
      // The server writes the end in a turn of its own.
      await new Promise((next) => setImmediate(next));
    },
  };
}

function missedNotice(count: number): Uint8Array {
  return encoder.encode(`event: missed\ndata: {"count":${count}}\n\n`);
}
