import { closeSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";

/**
 * Mends what a failed sync leaves. The kernel tells of a failure once and may forget what it did not write, so that
 * the next sync passes although the disk lacks it. What is needed is still in the write-ahead log: as long as that
 * has not begun anew, all that the database took over from it is written to both files once more.
 *
 * The log is believed only where its checksums hold, as memory may have been dropped and read again from the disk.
 */
export interface Rewrite {
  /** Tells one beginning of the log from another: it must not have begun anew between this and `run`. */
  beginning(): string;
  /**
   * Writes and syncs the log, then what the database has from it. Call it while nobody else can write, in a write
   * transaction. Throws what the disk says, or that the log is damaged.
   */
  run(extent: LogExtent): void;
}

export interface LogExtent {
  /** Frames that are committed. */
  log: number;
  /** Frames of these that the database has taken over. */
  checkpointed: number;
  /** Pages that the database has, by its latest transaction. */
  pages: number;
}

// The file format is described at https://www.sqlite.org/fileformat.html#the_write_ahead_log.
const LOG_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const PAGE_SIZE_AT = 8;
const SALTS_AT = 16;
const LOG_CHECKSUM_AT = 24;
const FRAME_SALTS_AT = 8;
const FRAME_CHECKSUM_AT = 16;
const SALTS_BYTES = 8;
/** Of the page number and size, which the checksum covers as well as the page. */
const CHECKED_HEADER_BYTES = 8;
const READ_FRAMES = 256;

type Sums = [number, number];

export function createRewrite(path: string): Rewrite {
  const logPath = `${path}-wal`;
  /** Never closed: closing any descriptor of the database would free the locks that SQLite has on it in this process (fcntl). */
  let database: number | null = null;

  const withLog = <T>(run: (log: number) => T): T => {
    const log = openSync(logPath, "r+");
    try {
      return run(log);
    } finally {
      closeSync(log);
    }
  };

  const copyPages = (log: number, frames: ReadonlyMap<number, number>, pageSize: number): void => {
    database ??= openSync(path, "r+");
    const page = Buffer.alloc(pageSize);
    for (const [number, frame] of frames) {
      read(log, page, offsetOf(frame, pageSize) + FRAME_HEADER_BYTES);
      write(database, page, (number - 1) * pageSize);
    }
    fsyncSync(database);
  };

  return {
    beginning: () =>
      withLog((log) => {
        const header = Buffer.alloc(LOG_HEADER_BYTES);
        return header.toString("hex", 0, readSync(log, header, 0, header.length, 0));
      }),
    run({ log: count, checkpointed, pages }) {
      withLog((log) => {
        const header = readHeader(log);
        const pageSize = header.readUInt32BE(PAGE_SIZE_AT);
        write(log, header, 0);
        const latest = new Map<number, number>();
        rewriteFrames(log, { header, pageSize, count }, (frame, page) => {
          if (frame < checkpointed && page <= pages) latest.set(page, frame);
        });
        fsyncSync(log);
        if (latest.size > 0) copyPages(log, latest, pageSize);
      });
    },
  };
}

function readHeader(log: number): Buffer {
  const header = Buffer.alloc(LOG_HEADER_BYTES);
  read(log, header, 0);
  return header;
}

function offsetOf(frame: number, pageSize: number): number {
  return LOG_HEADER_BYTES + frame * (FRAME_HEADER_BYTES + pageSize);
}

interface LogForm {
  header: Buffer;
  pageSize: number;
  /** Frames that must be whole. */
  count: number;
}

/** Writes each frame of a log over itself once it is known to be whole, and tells of its page. */
function rewriteFrames(
  log: number,
  { header, pageSize, count }: LogForm,
  tell: (frame: number, page: number) => void,
): void {
  const frameBytes = FRAME_HEADER_BYTES + pageSize;
  const salts = header.subarray(SALTS_AT, SALTS_AT + SALTS_BYTES);
  const isLittle = (header.readUInt32BE(0) & 1) === 0;
  let sums: Sums = [header.readUInt32BE(LOG_CHECKSUM_AT), header.readUInt32BE(LOG_CHECKSUM_AT + 4)];
  for (let first = 0; first < count; first += READ_FRAMES) {
    const frames = Buffer.alloc(Math.min(READ_FRAMES, count - first) * frameBytes);
    read(log, frames, offsetOf(first, pageSize));
    for (let at = 0; at < frames.length; at += frameBytes) {
      const frame = frames.subarray(at, at + frameBytes);
      sums = addChecksum(sums, frame.subarray(0, CHECKED_HEADER_BYTES), isLittle);
      sums = addChecksum(sums, frame.subarray(FRAME_HEADER_BYTES), isLittle);
      const isWhole =
        frame.subarray(FRAME_SALTS_AT, FRAME_SALTS_AT + SALTS_BYTES).equals(salts) &&
        frame.readUInt32BE(FRAME_CHECKSUM_AT) === sums[0] &&
        frame.readUInt32BE(FRAME_CHECKSUM_AT + 4) === sums[1];
      if (!isWhole) throw new Error("the write-ahead log does not read as it was written");
      tell(first + at / frameBytes, frame.readUInt32BE(0));
    }
    write(log, frames, offsetOf(first, pageSize));
  }
}

function addChecksum([a, b]: Sums, bytes: Buffer, isLittle: boolean): Sums {
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let first = a;
  let second = b;
  for (let at = 0; at < bytes.length; at += 8) {
    first = (first + words.getUint32(at, isLittle) + second) >>> 0;
    second = (second + words.getUint32(at + 4, isLittle) + first) >>> 0;
  }
  return [first, second];
}

function read(file: number, into: Buffer, position: number): void {
  if (readSync(file, into, 0, into.length, position) !== into.length)
    throw new Error("the write-ahead log is shorter than it was");
}

function write(file: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(file, bytes, done, bytes.length - done, position + done);
  }
}
