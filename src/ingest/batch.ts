import { AppError } from "../errors.ts";
import { decodeLine, isTorn } from "./decode-line.ts";
import type { Line, LineSplitter } from "./line-splitter.ts";
import type { IngestEvent, IngestOptions, StoredScan } from "./server.ts";

/** Lines of one transaction. Larger ones are hardly faster, but would hold up everything else for longer. */
const MAX_BATCH = 1024;
const MAX_BATCH_BYTES = 4 * 1024 * 1024;

/** A long line leaves garbage of several times its length, and the runtime lets it pile up: it is told after this much. */
const LONG_LINE_BYTES = 32 * 1024;
const COLLECT_AFTER_BYTES = 4 * 1024 * 1024;
let uncollected = 0;

/** A line that was read: either an event to store or the refusal to answer with, which is empty for a line that is forgotten. */
type Entry = IngestEvent | string;

interface Source {
  data: { splitter: LineSplitter };
}

type BatchOptions = Pick<
  IngestOptions,
  "now" | "organization" | "store" | "onRefused" | "onCutOff" | "onFault"
>;

/** Lines that were taken together, and their answers. */
export interface Batch<From> {
  acks: ReadonlyMap<From, string>;
  lines: number;
  /** How many of the acks say that an event is stored: they must wait until it is on disk. */
  stored: number;
}

/**
 * Takes lines from each waiting source in turn, stores their events in one transaction, and has an answer for
 * each line. A source without further lines leaves `waiting`.
 */
export function storeBatch<From extends Source>(waiting: Set<From>, options: BatchOptions): Batch<From> {
  const taken = takeBatch(waiting, options);
  const events: IngestEvent[] = [];
  let lines = 0;
  for (const entries of taken.values()) {
    lines += entries.length;
    for (const entry of entries) if (typeof entry !== "string") events.push(entry);
  }
  const stored = storeEvents(events, options);
  const acks = new Map<From, string>();
  let next = 0;
  for (const [source, entries] of taken) {
    let text = "";
    for (const entry of entries) text += typeof entry === "string" ? entry : ackOf(stored?.[next++]);
    acks.set(source, text);
  }
  return { acks, lines, stored: stored?.length ?? 0 };
}

/** The same answers, but for events of which nobody can be sure that they are on disk. */
export function withoutStored(acks: string): string {
  return acks.replaceAll(/^\{"ok":true.*\n/gm, UNAVAILABLE);
}

function takeBatch<From extends Source>(waiting: Set<From>, options: BatchOptions): Map<From, Entry[]> {
  const taken = new Map<From, Entry[]>();
  const receivedAt = options.now();
  const share = Math.max(1, Math.floor(MAX_BATCH / Math.max(1, waiting.size)));
  let lines = 0;
  let bytes = 0;
  // Who has more lines goes to the end of the set, and comes up again while there is room.
  for (const source of waiting) {
    if (lines >= MAX_BATCH || bytes >= MAX_BATCH_BYTES) break;
    const { splitter } = source.data;
    const entries = taken.get(source) ?? [];
    for (let n = 0; n < share && splitter.ready && bytes < MAX_BATCH_BYTES; n += 1) {
      const line = splitter.take();
      const length = line === null ? 0 : line.to - line.from;
      entries.push(read(line, receivedAt, options));
      noteLength(length);
      lines += 1;
      bytes += length;
    }
    taken.set(source, entries);
    waiting.delete(source);
    if (splitter.ready) waiting.add(source);
  }
  return taken;
}

function noteLength(bytes: number): void {
  if (bytes < LONG_LINE_BYTES) return;
  uncollected += bytes;
  if (uncollected < COLLECT_AFTER_BYTES) return;
  uncollected = 0;
  Bun.gc(true);
}

function read(line: Line | null, receivedAt: number, options: BatchOptions): Entry {
  try {
    const scan = decodeLine(line, receivedAt);
    return { scan, organization: options.organization(scan.organizationId), receivedAt };
  } catch (error) {
    if (error instanceof AppError) {
      if (line?.unended && isTorn(error)) {
        options.onCutOff();
        return "";
      }
      options.onRefused(error.code);
      return ackError(error);
    }
    options.onFault(error);
    return UNAVAILABLE;
  }
}

function storeEvents(events: readonly IngestEvent[], options: BatchOptions): readonly StoredScan[] | null {
  if (events.length === 0) return [];
  try {
    return options.store(events);
  } catch (error) {
    options.onFault(error);
    for (const _ of events) options.onRefused("UNAVAILABLE");
    return null;
  }
}

function ackOf(stored: StoredScan | undefined): string {
  if (!stored) return UNAVAILABLE;
  const { id, deliveries, duplicate } = stored;
  return `{"ok":true,"id":"${id}","deliveries":${deliveries}${duplicate ? ',"duplicate":true' : ""}}\n`;
}

let latest: { error: AppError; line: string } | null = null;

/** The line that tells a scanner what was wrong. */
export function ackError(error: AppError): string {
  // A flood of bad lines is mostly the same one.
  if (latest?.error !== error) {
    const { code, message } = error;
    latest = { error, line: `${JSON.stringify({ ok: false, error: { code, message } })}\n` };
  }
  return latest.line;
}

const UNAVAILABLE = ackError(new AppError("UNAVAILABLE", "the event cannot be stored now; send it again"));
