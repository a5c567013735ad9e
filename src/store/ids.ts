/** Ids of events and deliveries: 53-bit integers inside, UUIDs of version 7 outside (ids.ts). */
export interface Ids {
  /**
   * An id that was never given before, for a message that is not stored. Throws StoreFault where the store cannot make
   * sure that it is never given again.
   */
  next(): number;
  /** An id as the outside sees it. */
  format(id: number): string;
  /** Writes the same text, 36 bytes of ASCII, into bytes. */
  write(id: number, into: Uint8Array, at: number): void;
  /** The id behind a text; null for what this installation cannot have made. */
  parse(text: string): number | null;
}
