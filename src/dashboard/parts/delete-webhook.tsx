import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Webhook } from "../../client/index.ts";
import { go, paths } from "../address.ts";
import { useAction } from "../hooks.ts";
import { usePage } from "../page-context.ts";
import { nameOf } from "../words.ts";
import { Problem } from "./basics.tsx";

/** A second click that belongs to the first one must not be the answer to the question. */
const PAUSE_MS = 500;

/** Deletes a webhook, and asks twice. */
export function DeleteWebhook({ webhook }: { webhook: Webhook }) {
  const [isAsking, setAsking] = useState(false);
  return (
    <section class="card" aria-label="Deletion">
      <h2>Remove it</h2>
      {isAsking ? (
        <Question webhook={webhook} onKeep={() => setAsking(false)} />
      ) : (
        <>
          <p class="quiet">What is pending for it ends. Its history is kept as long as everybody's.</p>
          <button type="button" class="danger" onClick={() => setAsking(true)}>
            Delete
          </button>
        </>
      )}
    </section>
  );
}

function Question({ webhook, onKeep }: { webhook: Webhook; onKeep: () => void }) {
  const { client, webhooks } = usePage();
  const [isReady, setReady] = useState(false);
  const keep = useRef<HTMLButtonElement>(null);
  // Before it is painted: whoever sees the question can answer it.
  useLayoutEffect(() => keep.current?.focus(), []);
  useEffect(() => {
    const timer = setTimeout(() => setReady(true), PAUSE_MS);
    return () => clearTimeout(timer);
  }, []);
  const remove = useAction(async () => {
    await client.deleteWebhook(webhook.id);
    go(paths.overview);
    webhooks.change((list) => list.filter(({ id }) => id !== webhook.id));
  });
  return (
    <div
      role="alertdialog"
      aria-labelledby="delete-question"
      tabIndex={-1}
      onKeyDown={(event) => {
        if (event.key === "Escape") onKeep();
      }}
    >
      <p id="delete-question">
        <strong>{nameOf(webhook)}</strong> gets nothing any more, for good. Its secret is gone too.
      </p>
      <Problem error={remove.error} />
      <div class="line">
        <button
          type="button"
          class="danger"
          onClick={() => remove.run()}
          disabled={!isReady || remove.isRunning}
        >
          Delete
        </button>
        <button type="button" ref={keep} onClick={onKeep}>
          Keep it
        </button>
      </div>
    </div>
  );
}
