import type { Destination, DestinationAddress } from "./destination.ts";

/** Names of which it is remembered which address worked. */
const MAX_REMEMBERED = 1_024;

/** Which address of a name worked last, where it was not the first: it is tried first from then on (RFC 8305, section 7). */
export interface WorkedAddresses {
  inOrder(destination: Destination): readonly DestinationAddress[];
  /** The address with this key was connected to. */
  note(destination: Destination, key: string): void;
}

export function createWorkedAddresses(): WorkedAddresses {
  /** Keys of addresses by name. */
  const worked = new Map<string, string>();
  return {
    inOrder({ name, addresses }) {
      const best = addresses.length > 1 ? worked.get(name) : undefined;
      const first = best === undefined ? undefined : addresses.find(({ key }) => key === best);
      return first ? [first, ...addresses.filter((one) => one !== first)] : addresses;
    },
    note({ name, addresses }, key) {
      if (addresses.length === 1 || worked.get(name) === key) return;
      worked.delete(name);
      if (addresses[0]?.key === key) return;
      worked.set(name, key);
      if (worked.size > MAX_REMEMBERED) for (const oldest of worked.keys()) return void worked.delete(oldest);
    },
  };
}
