import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { IndigiArmorError } from "../../client/index.ts";
import { useNow } from "../hooks.ts";
import type { State } from "../state.ts";
import { clockTime, fromNow } from "../words.ts";

/** A view: its title is the document's, and is read out when the view appears. */
export function View({ title, children }: { title: string; children: ComponentChildren }) {
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    document.title = `${title} · armorhooks`;
  }, [title]);
  useEffect(() => main.current?.focus({ preventScroll: true }), []);
  return (
    <main id="main" ref={main} tabIndex={-1} aria-label={title}>
      {children}
    </main>
  );
}

/** A time, said from now; the whole of it when it is pointed at. */
export function Time({ at }: { at: string }) {
  const now = useNow();
  const time = Date.parse(at);
  return (
    <time dateTime={at} title={`${clockTime(time, now)} here, ${at}`}>
      {fromNow(time, now)}
    </time>
  );
}

/** A time of day, for where the order of things matters. */
export function Clock({ at }: { at: string }) {
  return (
    <time dateTime={at} title={at}>
      {clockTime(Date.parse(at), Date.now())}
    </time>
  );
}

/** A webhook's state: a shape and a word beside the colour. */
export function Badge({ state }: { state: Pick<State, "name" | "label"> }) {
  return <span class={`badge ${state.name}`}>{state.label}</span>;
}

export function Tier({ tier }: { tier: string }) {
  return <span class={`tier ${tier}`}>{tier}</span>;
}

/** What went wrong, for a person, with what names it in the operator's log. */
export function Problem({ error, onRetry }: { error: Error | null; onRetry?: () => void }) {
  if (!error) return null;
  const requestId = error instanceof IndigiArmorError ? error.requestId : null;
  return (
    <div class="notice bad" role="alert">
      <p>
        {error.message}
        {requestId && <span class="quiet"> ({requestId})</span>}
      </p>
      {onRetry && (
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Something that went well, read out too. */
export function Done({ children }: { children: ComponentChildren }) {
  return (
    <p class="notice good" role="status">
      {children}
    </p>
  );
}

export function Loading() {
  return (
    <p class="quiet" role="status">
      Loading…
    </p>
  );
}

const COPIED_MS = 2_000;

/** Puts a text on the clipboard, and says so. Where the browser allows no clipboard (http elsewhere), selects it. */
export function CopyButton({ text, label }: { text: string; label: string }) {
  const [said, setSaid] = useState<string | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async (): Promise<void> => {
    setSaid((await toClipboard(text)) ? "Copied" : "Not allowed here: select it");
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setSaid(null), COPIED_MS);
  };
  return (
    <>
      <button type="button" onClick={copy}>
        {label}
      </button>
      <span class="said" role="status">
        {said}
      </span>
    </>
  );
}

async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers give pages on http from other machines no clipboard.
    return false;
  }
}

/** Text of others or of ours as it is, never markup; what is long scrolls by itself. */
export function Code({ text, label }: { text: string; label: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard.
    <section class="code" aria-label={label} tabIndex={0}>
      <pre>{text}</pre>
    </section>
  );
}
