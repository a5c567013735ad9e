import { useSyncExternalStore } from "./hooks.ts";

/** What the address shows; every view has one that can be sent to a colleague. */
export type View =
  | { name: "overview" }
  | { name: "new-webhook" }
  | { name: "webhook"; id: string }
  | { name: "delivery"; id: string }
  | { name: "events" }
  | { name: "event"; id: string };

const PATTERNS: readonly [RegExp, (id: string) => View][] = [
  [/^\/dashboard\/?$/, () => ({ name: "overview" })],
  [/^\/dashboard\/new\/?$/, () => ({ name: "new-webhook" })],
  [/^\/dashboard\/events\/?$/, () => ({ name: "events" })],
  [/^\/dashboard\/webhooks\/([^/]+)\/?$/, (id) => ({ name: "webhook", id })],
  [/^\/dashboard\/deliveries\/([^/]+)\/?$/, (id) => ({ name: "delivery", id })],
  [/^\/dashboard\/events\/([^/]+)\/?$/, (id) => ({ name: "event", id })],
];

export const paths = {
  overview: "/dashboard",
  newWebhook: "/dashboard/new",
  events: "/dashboard/events",
  webhook: (id: string) => `/dashboard/webhooks/${encodeURIComponent(id)}`,
  delivery: (id: string) => `/dashboard/deliveries/${encodeURIComponent(id)}`,
  event: (id: string) => `/dashboard/events/${encodeURIComponent(id)}`,
};

/** The view of a path; null when there is none. */
export function viewOf(path: string): View | null {
  for (const [pattern, view] of PATTERNS) {
    const match = pattern.exec(path);
    if (match) return view(decodeURIComponent(match[1] ?? ""));
  }
  return null;
}

const MOVED = "armorhooks:moved";

/** Shows another address, as a new step of the tab's history or instead of the present one. */
export function go(href: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, "", href);
  else history.pushState(null, "", href);
  dispatchEvent(new Event(MOVED));
  if (!replace) scrollTo(0, 0);
}

/** Path and query of the address, followed. */
export function useAddress(): URL {
  const href = useSyncExternalStore(
    (onMoved) => {
      addEventListener("popstate", onMoved);
      addEventListener(MOVED, onMoved);
      return () => {
        removeEventListener("popstate", onMoved);
        removeEventListener(MOVED, onMoved);
      };
    },
    () => location.pathname + location.search,
  );
  return new URL(href, location.origin);
}

/** One value of the address's query, and how it is changed in place. */
export function useQuery(name: string): [string, (value: string) => void] {
  const address = useAddress();
  const change = (value: string): void => {
    const next = new URL(location.href);
    if (value === "") next.searchParams.delete(name);
    else next.searchParams.set(name, value);
    go(next.pathname + next.search, { replace: true });
  };
  return [address.searchParams.get(name) ?? "", change];
}

/** Links within the page are followed without loading it anew; those that open elsewhere are the browser's. */
export function followLinks(event: MouseEvent): void {
  const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!isPlain || event.defaultPrevented || !link || link.origin !== location.origin) return;
  if (viewOf(link.pathname) === null || link.hash !== "") return;
  event.preventDefault();
  go(link.pathname + link.search);
}
