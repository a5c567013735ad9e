/** Event ids by 32-bit hashes, which may collide, in the order in which they were added: a tenth of what a Map would take. */
export interface RecentIds {
  add(hash: number, eventId: number): void;
  /** The first event id under a hash that `isIt` takes, or null. */
  find(hash: number, isIt: (eventId: number) => boolean): number | null;
  /** Forgets all but the first so many. */
  truncate(size: number): void;
  hashAt(index: number): number;
  eventIdAt(index: number): number;
  readonly size: number;
}

const FIRST_CAPACITY = 1024;
/** Slots for each entry: searches end at a free one, so most must be free. */
const SLOTS_EACH = 2;

export function createRecentIds(): RecentIds {
  let size = 0;
  let hashes = new Uint32Array(FIRST_CAPACITY);
  let ids = new Float64Array(FIRST_CAPACITY);
  /** One more than the index of the entry that a slot stands for; 0 where it is free. */
  let slots = new Uint32Array(FIRST_CAPACITY * SLOTS_EACH);

  const place = (index: number): void => {
    const mask = slots.length - 1;
    let slot = (hashes[index] as number) & mask;
    while (slots[slot] !== 0) slot = (slot + 1) & mask;
    slots[slot] = index + 1;
  };

  const placeAll = (): void => {
    slots = new Uint32Array(hashes.length * SLOTS_EACH);
    for (let index = 0; index < size; index += 1) place(index);
  };

  const grow = (): void => {
    const before = { hashes, ids };
    hashes = new Uint32Array(size * 2);
    hashes.set(before.hashes);
    ids = new Float64Array(size * 2);
    ids.set(before.ids);
    placeAll();
  };

  return {
    add(hash, eventId) {
      if (size === hashes.length) grow();
      hashes[size] = hash;
      ids[size] = eventId;
      place(size);
      size += 1;
    },
    find(hash, isIt) {
      const mask = slots.length - 1;
      for (let slot = hash & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
        const index = (slots[slot] as number) - 1;
        if (hashes[index] === hash && isIt(ids[index] as number)) return ids[index] as number;
      }
      return null;
    },
    truncate(to) {
      if (to >= size) return;
      size = to;
      placeAll();
    },
    hashAt: (index) => hashes[index] as number,
    eventIdAt: (index) => ids[index] as number,
    get size() {
      return size;
    },
  };
}
