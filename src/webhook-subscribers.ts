import { lazily, type Passes } from "./webhook-filter.ts";

/** The webhooks of one organization that subscribe to one type of event, in the order of their ids. */
export interface Subscribers {
  ids: number[];
  /** By position in `ids`; null while none of them filters. */
  filters: (Passes | null)[] | null;
}

const NOBODY: readonly number[] = [];

export function createSubscribers(): Subscribers {
  return { ids: [], filters: null };
}

export function addSubscriber(subscribers: Subscribers | undefined, id: number, passes: Passes | null): void {
  if (!subscribers) return;
  if (passes) subscribers.filters ??= subscribers.ids.map(() => null);
  subscribers.filters?.push(passes);
  subscribers.ids.push(id);
}

/** Those that want an event with a payload, which is read only where one filters by it; the same list where none does. */
export function subscribersTo(subscribers: Subscribers | undefined, body: string): readonly number[] {
  if (!subscribers) return NOBODY;
  const { ids, filters } = subscribers;
  if (filters === null) return ids;
  const scan = lazily(body);
  return ids.filter((_, i) => filters[i]?.(scan()) ?? true);
}
