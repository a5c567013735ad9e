import { BUCKET_SHIFT, BUCKETS, ENTRY_BYTES, HASH_BYTES } from "./external-id-rows.ts";
import type { RecentIds } from "./recent-ids.ts";

/** A run's entries, by the upper bits of their hashes. */
export function toBuckets(recent: RecentIds): Uint8Array[] {
  const ends = new Uint32Array(BUCKETS);
  const bucketAt = (index: number): number => recent.hashAt(index) >>> BUCKET_SHIFT;
  for (let i = 0; i < recent.size; i += 1) ends[bucketAt(i)] = (ends[bucketAt(i)] as number) + ENTRY_BYTES;
  const buckets = Array.from(ends, (bytes) => new DataView(new ArrayBuffer(bytes)));
  // From the last to the first, as the first must be found first.
  for (let i = recent.size - 1; i >= 0; i -= 1) {
    const bucket = bucketAt(i);
    const at = (ends[bucket] as number) - ENTRY_BYTES;
    ends[bucket] = at;
    buckets[bucket]?.setUint32(at, recent.hashAt(i));
    buckets[bucket]?.setFloat64(at + HASH_BYTES, recent.eventIdAt(i));
  }
  return buckets.map(({ buffer }) => new Uint8Array(buffer));
}

/** Of the entries of a bucket under a hash, the first event id that `isIt` takes, or null. */
export function findInBucket(
  entries: DataView,
  hash: number,
  isIt: (eventId: number) => boolean,
): number | null {
  for (let at = 0; at < entries.byteLength; at += ENTRY_BYTES) {
    if (entries.getUint32(at) !== hash) continue;
    const eventId = entries.getFloat64(at + HASH_BYTES);
    if (isIt(eventId)) return eventId;
  }
  return null;
}

/** Calls back with the hash of each entry. */
export function forEachHash(entries: DataView, run: (hash: number) => void): void {
  for (let at = 0; at < entries.byteLength; at += ENTRY_BYTES) run(entries.getUint32(at));
}
