import type { DeliveryDetail, Webhook } from "../client/index.ts";

/** A request of a delivery, as far as it can be known here: signatures need the secret, which nobody is shown. */
export interface SentRequest {
  url: string;
  headers: readonly (readonly [name: string, value: string])[];
  /** Null for a format whose message is written by the daemon. */
  body: string | null;
}

/** What the latest attempt sent; what the next one would send, when there was none. */
export function requestOf(delivery: DeliveryDetail, webhook: Webhook, now: number): SentRequest {
  const latest = delivery.attempts.at(-1);
  const at = latest ? Date.parse(latest.started_at) : now;
  return {
    url: webhook.url,
    headers: [
      ["content-type", "application/json"],
      ["webhook-id", delivery.event_id],
      ["webhook-timestamp", String(Math.floor(at / 1000))],
      ...Object.entries(webhook.headers ?? {}),
    ],
    body: webhook.format === "json" ? JSON.stringify(delivery.payload) : null,
  };
}

/** The request as text, with the signature named but not made. */
export function requestText({ url, headers, body }: SentRequest, payload: unknown): string {
  const fields = headers.map(([name, value]) => `${name}: ${value}`);
  return [`POST ${url}`, ...fields, "webhook-signature: v1,…", "", body ?? JSON.stringify(payload)].join(
    "\n",
  );
}

/** A command that sends the request from a terminal, but for its signature. */
export function curlCommand({ url, headers, body }: SentRequest, payload: unknown): string {
  const fields = headers.map(([name, value]) => `  -H ${quote(`${name}: ${value}`)} \\\n`).join("");
  return `curl -i -X POST ${quote(url)} \\\n${fields}  --data-raw ${quote(body ?? JSON.stringify(payload))}`;
}

/** A word of a POSIX shell: nothing in single quotes means anything but what it is. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
