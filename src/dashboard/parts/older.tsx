import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useAction } from "../hooks.ts";
import { Problem } from "./basics.tsx";

/** Some of what there is, and from where the next are asked for; null when these are the last. */
export interface OlderPage<Entry> {
  entries: readonly Entry[];
  cursor: string | null;
}

/**
 * Further pages below the first, which ends at `from`: each is asked for with a button, and shown below the others.
 * Ids are in the order of time. What comes meanwhile pushes the last ones of the first page down here.
 */
export function Older<Entry extends { id: string }>({
  first,
  from,
  load,
  children,
}: {
  first: readonly Entry[];
  from: string | null;
  load: (cursor: string) => Promise<OlderPage<Entry>>;
  children: (entries: readonly Entry[]) => ComponentChildren;
}) {
  const [older, setOlder] = useState<OlderPage<Entry> | null>(null);
  const more = useAction(async (cursor: string) => {
    const page = await load(cursor);
    setOlder((before) => ({ ...page, entries: [...(before?.entries ?? []), ...page.entries] }));
  });
  const shown = useRef(first);
  const ids = new Set(first.map(({ id }) => id));
  useEffect(() => {
    const before = shown.current;
    shown.current = first;
    if (older === null || before === first) return;
    // More than a page has come at once: what lies between is to be asked for again.
    if (!before.some(({ id }) => ids.has(id))) return setOlder(null);
    // As many as came above, from the end; others have left for another list.
    const newest = before[0]?.id ?? "";
    const came = first.filter(({ id }) => id > newest).length;
    const below = new Set(older.entries.map(({ id }) => id));
    const pushed = before.slice(-came || before.length).filter(({ id }) => !ids.has(id) && !below.has(id));
    if (pushed.length > 0) setOlder({ ...older, entries: [...pushed, ...older.entries] });
  }, [first]);
  // What has come meanwhile moves where the first page ends, and not what was shown below it.
  const { cursor } = older ?? { cursor: from };
  return (
    <>
      {older && children(older.entries.filter(({ id }) => !ids.has(id)))}
      <Problem error={more.error} />
      {cursor !== null && (
        <button type="button" onClick={() => more.run(cursor)}>
          Show older
        </button>
      )}
    </>
  );
}
