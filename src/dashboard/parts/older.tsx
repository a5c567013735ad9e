import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useAction } from "../hooks.ts";
import { Problem } from "./basics.tsx";

/** Some of what there is, and from where the next are asked for; null when these are the last. */
export interface OlderPage<Entry> {
  entries: readonly Entry[];
  cursor: string | null;
}

/** Further pages below the first, which ends at `from`: each is asked for with a button, and shown below the others. */
export function Older<Entry>({
  from,
  load,
  children,
}: {
  from: string | null;
  load: (cursor: string) => Promise<OlderPage<Entry>>;
  children: (entries: readonly Entry[]) => ComponentChildren;
}) {
  const [older, setOlder] = useState<OlderPage<Entry> | null>(null);
  const more = useAction(async (cursor: string) => {
    const page = await load(cursor);
    setOlder((before) => ({ ...page, entries: [...(before?.entries ?? []), ...page.entries] }));
  });
  // What has come meanwhile moves where the first page ends, and not what was shown below it.
  const { cursor } = older ?? { cursor: from };
  return (
    <>
      {older && children(older.entries)}
      <Problem error={more.error} />
      {cursor !== null && (
        <button type="button" onClick={() => more.run(cursor)}>
          Show older
        </button>
      )}
    </>
  );
}
