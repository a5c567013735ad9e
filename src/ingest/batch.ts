import { AppError, type ErrorCode } from "../errors.ts";
import type { Acks } from "./acks.ts";
import { createLineDecoder, isTorn } from "./decode-line.ts";
import type { IngestEvent, OrganizationDirectory, StoredScan } from "./events.ts";
import type { Line, LineSplitter } from "./line-splitter.ts";
import type { ScanEvent } from "./scan-event.ts";

/** Lines of one transaction. Larger ones are hardly faster, but would hold up everything else for longer. */
const MAX_BATCH = 1024;
const MAX_BATCH_BYTES = 4 * 1024 * 1024;

/** A long line leaves garbage of several times its length, and the runtime lets it pile up: it is told after this much. */
const LONG_LINE_BYTES = 32 * 1024;
const COLLECT_AFTER_BYTES = 4 * 1024 * 1024;

/** An event whose organization was not known when its line was read. */
interface Unplaced {
  scan: ScanEvent;
  organization: null;
  receivedAt: number;
}

/**
 * A line that was read: either an event to store or the refusal to answer with, which is empty for a line that is
 * forgotten. Null stands for an event that was taken out to be stored: its body is not to wait for the disk too.
 */
type Entry = IngestEvent | Unplaced | string | null;

export interface Source {
  data: { splitter: LineSplitter };
}

export interface BatchReaderOptions {
  /** Wall time, milliseconds since 1970. */
  now: () => number;
  organizations: OrganizationDirectory;
  acks: Acks;
  /** A line was answered with this error code. */
  onRefused: (code: ErrorCode) => void;
  /** A line is forgotten, as the connection ended amid it: only who closes its side in order after a whole one has said all of it. */
  onCutOff: () => void;
  /** A fault of ours. */
  onFault: (error: unknown) => void;
}

/** Lines that were taken together, by whom they came from. */
export interface Batch<From> {
  entries: ReadonlyMap<From, Entry[]>;
  lines: number;
  /** Whether the organization of some was not known. */
  isUnplaced: boolean;
}

export interface BatchReader {
  /** Takes lines from each waiting source in turn. A source without further lines leaves `waiting`. */
  take<From extends Source>(waiting: Set<From>): Batch<From>;
  /** Looks once more for organizations that were not known, and refuses the events of those that do not exist. Never rejects. */
  place<From>(batch: Batch<From>): Promise<void>;
}

export function createBatchReader(options: BatchReaderOptions): BatchReader {
  const { organizations, acks, onRefused, onCutOff, onFault } = options;
  const decodeLine = createLineDecoder();
  let uncollected = 0;

  const noteLength = (bytes: number): void => {
    if (bytes < LONG_LINE_BYTES) return;
    uncollected += bytes;
    if (uncollected < COLLECT_AFTER_BYTES) return;
    uncollected = 0;
    Bun.gc(true);
  };

  const refuse = (error: AppError): string => {
    onRefused(error.code);
    return acks.refused(error);
  };

  const fail = (error: unknown): string => {
    onFault(error);
    return acks.unavailable;
  };

  const read = (line: Line | null, receivedAt: number): Entry => {
    try {
      const scan = decodeLine(line, receivedAt);
      return { scan, organization: organizations.find(scan.organizationId), receivedAt };
    } catch (error) {
      if (!(error instanceof AppError)) return fail(error);
      if (!line?.unended || !isTorn(error)) return refuse(error);
      onCutOff();
      return "";
    }
  };

  /** The organization may have been made a moment ago. */
  const placed = ({ scan, receivedAt }: Unplaced): Entry => {
    const organization = organizations.find(scan.organizationId);
    if (organization) return { scan, organization, receivedAt };
    return refuse(organizations.refusal(scan.organizationId));
  };

  const unplaceable = (): string => {
    onRefused("UNAVAILABLE");
    return acks.unavailable;
  };

  return {
    take<From extends Source>(waiting: Set<From>) {
      const entries = new Map<From, Entry[]>();
      const receivedAt = options.now();
      const share = Math.max(1, Math.floor(MAX_BATCH / Math.max(1, waiting.size)));
      let lines = 0;
      let bytes = 0;
      let isUnplaced = false;
      // Who has more lines goes to the end of the set, and comes up again while there is room.
      for (const source of waiting) {
        if (lines >= MAX_BATCH || bytes >= MAX_BATCH_BYTES) break;
        const { splitter } = source.data;
        const own = entries.get(source) ?? [];
        for (let n = 0; n < share && splitter.ready && bytes < MAX_BATCH_BYTES; n += 1) {
          const line = splitter.take();
          const length = line === null ? 0 : line.to - line.from;
          const entry = read(line, receivedAt);
          if (isUnknown(entry)) isUnplaced = true;
          own.push(entry);
          noteLength(length);
          lines += 1;
          bytes += length;
        }
        entries.set(source, own);
        waiting.delete(source);
        if (splitter.ready) waiting.add(source);
      }
      return { entries, lines, isUnplaced };
    },
    async place({ entries }) {
      let fault: unknown = null;
      await organizations.refresh().catch((error) => {
        fault = error;
        onFault(error);
      });
      for (const own of entries.values()) {
        for (const [i, entry] of own.entries()) {
          if (isUnknown(entry)) own[i] = fault === null ? placed(entry) : unplaceable();
        }
      }
    },
  };
}

function isUnknown(entry: Entry): entry is Unplaced {
  return typeof entry === "object" && entry !== null && entry.organization === null;
}

/** Takes the events out of a batch, whose organizations are all known by now, in the order of their lines. */
export function takeEvents<From>({ entries }: Batch<From>): IngestEvent[] {
  const events: IngestEvent[] = [];
  for (const own of entries.values()) {
    for (let i = 0; i < own.length; i += 1) {
      const entry = own[i] as Entry;
      if (entry === null || typeof entry === "string" || entry.organization === null) continue;
      events.push(entry);
      own[i] = null;
    }
  }
  return events;
}

/** The answers to a batch, once it is known what became of the events that were taken out of it; null when they are not known to be stored. */
export function answersTo<From>(
  { entries }: Batch<From>,
  stored: readonly StoredScan[] | null,
  acks: Acks,
): Map<From, string> {
  const answers = new Map<From, string>();
  let next = 0;
  for (const [source, own] of entries) {
    let text = "";
    for (const entry of own) {
      if (typeof entry === "string") text += entry;
      else {
        const scan = stored?.[next++];
        text += scan ? acks.stored(scan) : acks.unavailable;
      }
    }
    answers.set(source, text);
  }
  return answers;
}
