/** All addresses of a host name, in the resolver's order; rejects when it has none. */
export type Lookup = (hostname: string) => Promise<readonly string[]>;

/** The same, at once where the answer is known. */
export type Resolve = (hostname: string) => readonly string[] | Promise<readonly string[]>;

/** Answers are shared by the attempts of one moment only, so that a change is seen by the next one. */
const SHARED_MS = 1_000;

/**
 * One lookup for all attempts to a name that start within the same second: a webhook under load would
 * otherwise ask its name server thousands of times a second.
 */
export function shareLookups(resolve: Lookup, sharedMs = SHARED_MS): Resolve {
  type Answer = readonly string[] | Promise<readonly string[]>;
  const shared = new Map<string, { answer: Answer; until: number }>();
  return (hostname) => {
    const now = performance.now();
    const known = shared.get(hostname);
    if (known && known.until > now) return known.answer;
    const asked = resolve(hostname);
    const entry: { answer: Answer; until: number } = { answer: asked, until: Number.POSITIVE_INFINITY };
    shared.set(hostname, entry);
    const expireSoon = (): void => {
      entry.until = performance.now() + sharedMs;
      setTimeout(() => shared.get(hostname) === entry && shared.delete(hostname), sharedMs + 1).unref();
    };
    asked.then((addresses) => {
      entry.answer = addresses;
      expireSoon();
    }, expireSoon);
    return asked;
  };
}
