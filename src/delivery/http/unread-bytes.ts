/**
 * Bytes that wait for their rest. They lie in memory with room to spare, so that what comes a byte at a time is not
 * copied anew for each.
 */
export interface UnreadBytes {
  /** Those that wait and a chunk, in one piece: valid until the next call. */
  join(chunk: Buffer): Buffer;
  /** Has the rest of such a piece wait. */
  keep(rest: Buffer): void;
}

const LEAST_BYTES = 1024;
const EMPTY = Buffer.alloc(0);

export function createUnreadBytes(): UnreadBytes {
  let memory: Buffer = EMPTY;
  let length = 0;

  const makeRoom = (bytes: number): void => {
    if (bytes <= memory.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(LEAST_BYTES, 2 * bytes));
    larger.set(memory.subarray(0, length));
    memory = larger;
  };

  return {
    join(chunk) {
      if (length === 0) return chunk;
      makeRoom(length + chunk.length);
      memory.set(chunk, length);
      length += chunk.length;
      return memory.subarray(0, length);
    },
    keep(rest) {
      if (rest.buffer !== memory.buffer || rest.byteOffset !== memory.byteOffset) {
        makeRoom(rest.length);
        memory.set(rest);
      }
      length = rest.length;
    },
  };
}
