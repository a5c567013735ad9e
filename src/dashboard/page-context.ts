import { createContext } from "preact";
import { useContext, useEffect, useRef } from "preact/hooks";
import type { IndigiArmor, Outcome, Webhook } from "../client/index.ts";
import { type Loaded, useThrottled } from "./hooks.ts";
import type { Live } from "./live.ts";

/** What every view has once somebody has signed in. */
export interface PageContext {
  client: IndigiArmor;
  /** Whether the key may only read: then nothing that writes is shown. */
  isReadOnly: boolean;
  webhooks: Loaded<Webhook[]>;
  live: Live;
}

export const Context = createContext<PageContext | null>(null);

export function usePage(): PageContext {
  const context = useContext(Context);
  if (!context) throw new Error("used outside of a signed-in page");
  return context;
}

/** Told of what happens, a few times a second at most. */
export function useOutcomes(listener: (outcomes: readonly Outcome[], missed: boolean) => void): void {
  const { live } = usePage();
  const latest = useRef(listener);
  latest.current = listener;
  useEffect(() => live.onOutcomes((outcomes, missed) => latest.current(outcomes, missed)), [live]);
}

/** What the stream tells only in part is asked for again no more often than this. */
const RELOAD_MS = 2_000;

/** Asks again soon after something has happened that is meant. */
export function useReloadOn(isMeant: (outcome: Outcome) => boolean, reload: () => void): void {
  const refresh = useThrottled(reload, RELOAD_MS);
  useOutcomes((outcomes, missed) => {
    if (missed || outcomes.some(isMeant)) refresh();
  });
}
