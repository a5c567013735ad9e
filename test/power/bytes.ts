/** A file's content, which grows. */
export interface Bytes {
  write(offset: number, data: Uint8Array): void;
  truncate(length: number): void;
  copy(): Buffer;
}

export function createBytes(from: Buffer = Buffer.alloc(0)): Bytes {
  // Copied, as the same snapshot is used by several disks.
  let bytes = Buffer.from(from);
  let length = from.length;
  const grow = (to: number): void => {
    if (to <= length) return;
    if (to > bytes.length) {
      const larger = Buffer.alloc(Math.max(to, bytes.length * 2));
      bytes.copy(larger, 0, 0, length);
      bytes = larger;
    }
    length = to;
  };
  return {
    write(offset, data) {
      grow(offset + data.length);
      bytes.set(data, offset);
    },
    truncate(to) {
      if (to < length) bytes.fill(0, to, length);
      grow(to);
      length = to;
    },
    copy: () => Buffer.from(bytes.subarray(0, length)),
  };
}
