/** Bounds what waits in memory, of all webhooks together; whatever does not fit waits in the store. */
export interface Memory {
  /** One whose body has so many characters. */
  add(length: number): void;
  remove(length: number): void;
  /** Whether further deliveries should wait in the store. */
  readonly isFull: boolean;
}

const MAX_DELIVERIES = 8_000;
const MAX_BYTES = 32 * 1024 * 1024;

export function createMemory(): Memory {
  let deliveries = 0;
  let bytes = 0;
  return {
    add(length) {
      deliveries += 1;
      bytes += length;
    },
    remove(length) {
      deliveries -= 1;
      bytes -= length;
    },
    get isFull() {
      return deliveries >= MAX_DELIVERIES || bytes >= MAX_BYTES;
    },
  };
}
