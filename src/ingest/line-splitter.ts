/** Splits a byte stream into lines without ever holding more of one line than `maxLine` bytes. */
export interface LineSplitter {
  /** Takes bytes; calls back for each complete line, in order. `null` stands for a line that was too long. */
  push(chunk: Buffer, onLine: (line: Buffer | null) => void): void;
  /** Bytes of memory that an unfinished line takes. */
  readonly held: number;
}

const NEWLINE = 10;
const FIRST_CAPACITY = 1024;
const EMPTY = Buffer.alloc(0);

export function createLineSplitter(maxLine: number): LineSplitter {
  let partial: Buffer = EMPTY;
  let length = 0;
  let skipping = false;

  const reset = (): void => {
    partial = EMPTY;
    length = 0;
    skipping = false;
  };

  /** Copies, as the chunk's memory belongs to the socket; doubles, as a line may come byte by byte. */
  const keep = (rest: Buffer): void => {
    if (skipping || rest.length === 0) return;
    const wanted = length + rest.length;
    if (wanted > maxLine) {
      reset();
      skipping = true;
      return;
    }
    if (wanted > partial.length) {
      const grown = Buffer.allocUnsafeSlow(
        Math.max(FIRST_CAPACITY, wanted, Math.min(maxLine, partial.length * 2)),
      );
      partial.copy(grown, 0, 0, length);
      partial = grown;
    }
    rest.copy(partial, length);
    length = wanted;
  };

  const finish = (tail: Buffer): Buffer | null => {
    if (!skipping && length === 0) return tail.length > maxLine ? null : tail;
    keep(tail);
    const line = skipping ? null : partial.subarray(0, length);
    reset();
    return line;
  };

  return {
    push(chunk, onLine) {
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
        onLine(finish(chunk.subarray(start, end)));
        start = end + 1;
      }
      keep(start === 0 ? chunk : chunk.subarray(start));
    },
    get held() {
      return partial.length;
    },
  };
}
