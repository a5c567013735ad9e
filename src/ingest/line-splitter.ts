/** A line without its newline: a part of a buffer, rather than a view of it, as a view costs more than the search. */
export interface Line {
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
  /** Whether the stream ended before its newline. */
  readonly unended?: boolean;
}

/** Splits a byte stream into lines, one at a time, without ever copying more of one line than `maxLine` bytes. */
export interface LineSplitter {
  /** Takes bytes over: the chunk must not be used afterwards. */
  push(chunk: Buffer): void;
  /**
   * The next complete line, without its newline; `null` stands for one that was too long. Only while `ready`.
   * Its bytes hold until the next call: then their memory is given back.
   */
  take(): Line | null;
  /** Ends the last line as if its newline had come: for a stream that has ended in order. Only while `unfinished`. */
  finish(): void;
  /** Forgets everything. */
  clear(): void;
  /** Whether what came last is a line without its newline. */
  readonly unfinished: boolean;
  /** Whether a complete line is there. */
  readonly ready: boolean;
  /** Bytes from the next complete line on; 0 unless `ready`. */
  readonly unread: number;
  /** Bytes of memory that a line takes which is not complete yet. */
  readonly partial: number;
}

const NEWLINE = 10;
const FIRST_CAPACITY = 1024;
const EMPTY = Buffer.alloc(0);
/** In UTF-8; some programs begin every file with it. */
const BYTE_ORDER_MARK = Buffer.from("\uFEFF");

export function createLineSplitter(maxLine: number): LineSplitter {
  /** Chunks that are not used up; the first one has a newline at `end`. */
  const chunks: Buffer[] = [];
  let offset = 0;
  let end = 0;
  let unread = 0;

  let partial: Buffer = EMPTY;
  let length = 0;
  let skipping = false;
  let isFirst = true;
  let lastByte = NEWLINE;
  let ended = false;

  /** Used up, but the line that was taken last may lie in them. */
  let spent: Buffer[] = [];
  /** The garbage collector comes too late: a few hundred scanners fill hundreds of megabytes before it does. */
  const release = (): void => {
    if (spent.length === 0) return;
    for (const { buffer, byteLength } of spent) {
      // A part of a larger buffer is not ours to give back.
      if (byteLength > 0 && byteLength === buffer.byteLength) (buffer as ArrayBuffer).transfer(0);
    }
    spent = [];
  };

  const reset = (): void => {
    partial = EMPTY;
    length = 0;
    skipping = false;
  };

  /** Copies, as a few bytes would keep their whole chunk alive; doubles, as a line may come byte by byte. */
  const keep = (rest: Buffer): void => {
    if (skipping || rest.length === 0) return;
    const wanted = length + rest.length;
    if (wanted > maxLine) {
      spent.push(partial);
      reset();
      skipping = true;
      return;
    }
    if (wanted > partial.length) {
      const grown = Buffer.allocUnsafeSlow(
        Math.max(FIRST_CAPACITY, wanted, Math.min(maxLine, partial.length * 2)),
      );
      partial.copy(grown, 0, 0, length);
      if (length > 0) spent.push(partial);
      partial = grown;
    }
    rest.copy(partial, length);
    length = wanted;
  };

  /** The line that ends with these bytes. */
  const finish = (bytes: Buffer, from: number, to: number): Line | null => {
    if (!skipping && length === 0) return to - from > maxLine ? null : { bytes, from, to };
    keep(bytes.subarray(from, to));
    const line = skipping ? null : { bytes: partial, from: 0, to: length };
    if (length > 0) spent.push(partial);
    reset();
    return line;
  };

  /** Goes on to the next newline; what has none becomes part of the unfinished line. */
  const advance = (): void => {
    for (let chunk = chunks[0]; chunk; chunk = chunks[0]) {
      end = chunk.indexOf(NEWLINE, offset);
      if (end >= 0) return;
      keep(offset === 0 ? chunk : chunk.subarray(offset));
      unread -= chunk.length - offset;
      chunks.shift();
      spent.push(chunk);
      offset = 0;
    }
  };

  /** The first line may follow a byte order mark. */
  const skipMark = (line: Line | null): Line | null => {
    if (!isFirst) return line;
    isFirst = false;
    if (line === null) return null;
    const { bytes, from, to } = line;
    const end = from + BYTE_ORDER_MARK.length;
    return end <= to && BYTE_ORDER_MARK.equals(bytes.subarray(from, end)) ? { bytes, from: end, to } : line;
  };

  const push = (chunk: Buffer): void => {
    chunks.push(chunk);
    lastByte = chunk.at(-1) ?? lastByte;
    unread += chunk.length;
    if (chunks.length === 1) advance();
    release();
  };

  return {
    push,
    finish() {
      ended = true;
      push(Buffer.from([NEWLINE]));
    },
    take() {
      release();
      const line = finish(chunks[0] as Buffer, offset, end);
      unread -= end + 1 - offset;
      offset = end + 1;
      advance();
      const text = skipMark(line);
      return ended && text !== null && chunks.length === 0 ? { ...text, unended: true } : text;
    },
    clear() {
      spent.push(...chunks, partial);
      chunks.length = 0;
      unread = 0;
      lastByte = NEWLINE;
      reset();
      release();
    },
    get unfinished() {
      return lastByte !== NEWLINE;
    },
    get ready() {
      return chunks.length > 0;
    },
    get unread() {
      return unread;
    },
    get partial() {
      return partial.length;
    },
  };
}
