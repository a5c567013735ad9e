import { IndigiArmorError, ValidationError } from "./errors.ts";

/** What callers pass, checked, and as a request says it. */

const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export function searchOf(query: object): URLSearchParams {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value != null) search.set(name, String(value));
  return search;
}

export function webhookPath(id: string): `/v1/${string}` {
  return `/v1/webhooks/${encodeId(id)}`;
}

export function deliveryPath(id: string): `/v1/${string}` {
  return `/v1/deliveries/${encodeId(id)}`;
}

export function encodeId(id: string): string {
  // An empty id, "." and ".." would make the URL that of another route.
  if (typeof id === "string" && !["", ".", ".."].includes(id)) return encodeURIComponent(id);
  throw new ValidationError("id must be the id of a webhook, delivery or event", {
    code: "VALIDATION_ERROR",
  });
}

export function checkKey(key: string): string {
  const trimmed = typeof key === "string" ? key.trim() : "";
  // What a header cannot carry makes `fetch` fail with the key in its message.
  if (/^[\x21-\x7e]+$/.test(trimmed)) return trimmed;
  throw invalidArgument("The API key is empty or has characters that no key has: pass it as ia_sk_…");
}

export function checkBaseUrl(baseUrl: string): string {
  const url = parseUrl(baseUrl);
  const extras = url && url.username + url.password + url.search + url.hash;
  if (url === null || !/^https?:$/.test(url.protocol) || extras) {
    throw invalidArgument("baseUrl must be an http or https URL without user, query or fragment");
  }
  return url.href.replace(/\/+$/, "");
}

function parseUrl(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}

export function checkTimeout(timeout: number): number {
  if (timeout > 0 && timeout <= MAX_TIMEOUT_MS) return Math.ceil(timeout);
  throw invalidArgument(
    `timeout must be a number of milliseconds, more than 0 and at most ${MAX_TIMEOUT_MS}`,
  );
}

function invalidArgument(message: string): IndigiArmorError {
  return new IndigiArmorError(message, { code: "INVALID_ARGUMENT" });
}
