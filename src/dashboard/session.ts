import { IndigiArmor } from "../client/index.ts";

/** Where the key is kept: in this tab, until it is closed, and nowhere else. */
const STORED_AS = "armorhooks key";

/** The key of this tab, if it has one; one behind `#key=` in the address begins a session, and is taken out of it. */
export function storedKey(): string | null {
  const given = takeKeyFromAddress();
  if (given !== null) storeKey(given);
  return sessionStorage.getItem(STORED_AS);
}

export function storeKey(key: string): void {
  sessionStorage.setItem(STORED_AS, key);
}

export function forgetKey(): void {
  sessionStorage.removeItem(STORED_AS);
}

/** Whether the address carries a key: a link that signs in may be opened in a tab that shows the page already. */
export function addressHasKey(): boolean {
  return ADDRESS_WITH_KEY.test(location.hash);
}

/** What the page learns of its key from the answers to it. */
export interface KeyWatch {
  /** Whether the key may only read: then the page has no buttons that write. */
  onAccess: (isReadOnly: boolean) => void;
  /** The key does not hold any more. */
  onRefused: () => void;
}

/** The project's own client, for this page's daemon. Throws for a key that no header can carry. */
export function clientFor(key: string, { onAccess, onRefused }: KeyWatch): IndigiArmor {
  return new IndigiArmor(key, {
    baseUrl: location.origin,
    fetch: async (url, init) => {
      const answer = await fetch(url, init);
      if (answer.status === 401) onRefused();
      if (answer.ok) onAccess(answer.headers.get("x-key-access") === "read");
      return answer;
    },
  });
}

const ADDRESS_WITH_KEY = /^#key=([^&]+)$/;

function takeKeyFromAddress(): string | null {
  const key = ADDRESS_WITH_KEY.exec(location.hash)?.[1];
  if (key === undefined) return null;
  // Before anything else: it must not stay in the address bar or in the history.
  history.replaceState(null, "", location.pathname + location.search);
  return key;
}
