/** Wakes each of many at its own moment, with one timer for all. Moments are on the clock that `now` reads. */
export interface Agenda<Item> {
  /** Has an item woken at a moment, unless it is woken before that anyhow. */
  add(item: Item, at: number): void;
  remove(item: Item): void;
  /** Wakes nobody any more, whatever is added after that. */
  stop(): void;
}

const MAX_TIMER_MS = 3_600_000;
/** So many replaced entries are not worth the work of letting go of them. */
const KEPT_ENTRIES = 64;

interface Entry<Item> {
  item: Item;
  at: number;
}

/** `wake` is called with each item whose moment has come, then `woken` once. */
export function createAgenda<Item>(
  now: () => number,
  { wake, woken }: { wake: (item: Item) => void; woken: () => void },
): Agenda<Item> {
  /** A binary heap, the earliest first; entries that were replaced stay until their time, or until they are most of it. */
  const heap: Entry<Item>[] = [];
  const current = new Map<Item, Entry<Item>>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let timerAt = Number.POSITIVE_INFINITY;
  let isStopped = false;

  const arm = (): void => {
    const next = heap[0]?.at ?? Number.POSITIVE_INFINITY;
    if (next === timerAt || isStopped) return;
    clearTimeout(timer);
    timerAt = next;
    if (next === Number.POSITIVE_INFINITY) return;
    timer = setTimeout(ring, Math.min(MAX_TIMER_MS, Math.max(0, Math.ceil(next - now()))));
  };

  const ring = (): void => {
    timerAt = Number.POSITIVE_INFINITY;
    const until = now();
    let any = false;
    for (let entry = heap[0]; entry && entry.at <= until; entry = heap[0]) {
      pop(heap);
      if (current.get(entry.item) !== entry) continue;
      current.delete(entry.item);
      any = true;
      wake(entry.item);
    }
    arm();
    if (any) woken();
  };

  return {
    add(item, at) {
      if (at === Number.POSITIVE_INFINITY || at >= (current.get(item)?.at ?? Number.POSITIVE_INFINITY))
        return;
      const entry = { item, at };
      current.set(item, entry);
      push(heap, entry);
      if (heap.length > 2 * current.size + KEPT_ENTRIES) compact(heap, current);
      arm();
    },
    remove: (item) => {
      current.delete(item);
    },
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

/** An item that is woken every few milliseconds, and has something due tomorrow, would leave an entry each time. */
function compact<Item>(heap: Entry<Item>[], current: ReadonlyMap<Item, Entry<Item>>): void {
  heap.length = 0;
  for (const entry of current.values()) push(heap, entry);
}

function push<Item>(heap: Entry<Item>[], entry: Entry<Item>): void {
  let at = heap.push(entry) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if ((heap[parent] as Entry<Item>).at <= entry.at) break;
    heap[at] = heap[parent] as Entry<Item>;
    at = parent;
  }
  heap[at] = entry;
}

function pop<Item>(heap: Entry<Item>[]): void {
  const last = heap.pop() as Entry<Item>;
  if (heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && (heap[child + 1] as Entry<Item>).at < (heap[child] as Entry<Item>).at)
      child += 1;
    if ((heap[child] as Entry<Item>).at >= last.at) break;
    heap[at] = heap[child] as Entry<Item>;
    at = child;
  }
  heap[at] = last;
}
