import { useEffect, useMemo, useState } from "preact/hooks";
import { followLinks, paths, useAddress, type View as ViewOfAddress, viewOf } from "./address.ts";
import { useLoaded, useSyncExternalStore } from "./hooks.ts";
import { KeepUp } from "./keep-up.tsx";
import { type Live, openLive } from "./live.ts";
import { Context, usePage } from "./page-context.ts";
import { addressHasKey, clientFor, forgetKey, storedKey, storeKey } from "./session.ts";
import { DeliveryView } from "./views/delivery.tsx";
import { EventView } from "./views/event.tsx";
import { Events } from "./views/events.tsx";
import { NewWebhook } from "./views/new-webhook.tsx";
import { NotFound } from "./views/not-found.tsx";
import { Overview } from "./views/overview.tsx";
import { SignIn } from "./views/sign-in.tsx";
import { WebhookView } from "./views/webhook.tsx";

/** The page: who has no key is asked for one, and then sees what was asked for. */
export function App() {
  const [key, setKey] = useState(storedKey);
  const [refused, setRefused] = useState<Error | null>(null);

  useEffect(() => {
    const takeKey = (): void => {
      if (addressHasKey()) setKey(storedKey());
    };
    addEventListener("hashchange", takeKey);
    return () => removeEventListener("hashchange", takeKey);
  }, []);

  if (key === null) {
    const enter = (given: string): void => {
      storeKey(given);
      setRefused(null);
      setKey(given);
    };
    return <SignIn refused={refused} onSignIn={enter} />;
  }
  const leave = (why: Error | null): void => {
    forgetKey();
    setRefused(why);
    setKey(null);
  };
  return <SignedIn key={key} apiKey={key} onLeave={leave} />;
}

function SignedIn({ apiKey, onLeave }: { apiKey: string; onLeave: (why: Error | null) => void }) {
  const [isReadOnly, setReadOnly] = useState(false);
  const client = useMemo(() => {
    const onRefused = (): void =>
      onLeave(new Error("The key does not hold any more. Sign in with another one."));
    return clientFor(apiKey, { onAccess: setReadOnly, onRefused });
  }, [apiKey]);
  const live = useMemo(
    () => openLive((onAnswer) => clientFor(apiKey, { onAccess: onAnswer, onRefused: () => {} })),
    [apiKey],
  );
  useEffect(() => () => live.close(), [live]);
  const webhooks = useLoaded(() => client.listWebhooks(), [client]);
  const view = viewOf(useAddress().pathname);
  return (
    <Context.Provider value={{ client, isReadOnly, webhooks, live }}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: it only catches what bubbles up from links. */}
      <div class="page" onClick={followLinks} role="presentation">
        <a class="skip" href="#main">
          Skip to the content
        </a>
        <Top view={view} onSignOut={() => onLeave(null)} />
        <Shown view={view} />
        <KeepUp />
      </div>
    </Context.Provider>
  );
}

function Top({ view, onSignOut }: { view: ViewOfAddress | null; onSignOut: () => void }) {
  const { live, isReadOnly } = usePage();
  const isOfEvents = view?.name === "events" || view?.name === "event";
  return (
    <header class="top">
      <nav aria-label="Main">
        <span class="brand" aria-hidden="true">
          armorhooks
        </span>
        <a href={paths.overview} aria-current={view && !isOfEvents ? "true" : undefined}>
          Webhooks
        </a>
        <a href={paths.events} aria-current={isOfEvents ? "true" : undefined}>
          Events
        </a>
      </nav>
      <div class="line">
        {isReadOnly && <span class="quiet">read only</span>}
        <Connection live={live} />
        <button type="button" onClick={onSignOut}>
          Sign out
        </button>
      </div>
    </header>
  );
}

const SAID = { connecting: "connecting", live: "live", lost: "connection lost, trying again" };

function Connection({ live }: { live: Live }) {
  const state = useSyncExternalStore(live.onState, live.state);
  return (
    <span class={`live ${state}`} role="status">
      {SAID[state]}
    </span>
  );
}

function Shown({ view }: { view: ViewOfAddress | null }) {
  switch (view?.name) {
    case "overview":
      return <Overview />;
    case "new-webhook":
      return <NewWebhook />;
    case "webhook":
      return <WebhookView key={view.id} id={view.id} />;
    case "delivery":
      return <DeliveryView key={view.id} id={view.id} />;
    case "events":
      return <Events />;
    case "event":
      return <EventView key={view.id} id={view.id} />;
    default:
      return <NotFound what="Nothing has this address." />;
  }
}
