import type { DeliveryDetail, Webhook, WebhookFormat } from "../client/index.ts";
import { discordMessage } from "../delivery/formats/discord.ts";
import { withParameter } from "../delivery/formats/query.ts";
import type { ScanMessage } from "../delivery/formats/scan-message.ts";
import { slackMessage } from "../delivery/formats/slack.ts";
import { teamsMessage } from "../delivery/formats/teams.ts";

/** A request of a delivery, as far as it can be known here: signatures need the secret, which nobody is shown. */
export interface SentRequest {
  url: string;
  headers: readonly (readonly [name: string, value: string])[];
  body: string;
}

/** What the latest attempt sent, had it been sent alone; what the next one would send, when there was none. */
export function requestOf(delivery: DeliveryDetail, webhook: Webhook, now: number): SentRequest {
  const latest = delivery.attempts.at(-1);
  const at = latest ? Date.parse(latest.started_at) : now;
  return {
    url: webhook.format === "discord" ? withParameter(webhook.url, "wait", "true") : webhook.url,
    headers: [
      ["content-type", "application/json"],
      ["webhook-id", delivery.event_id],
      ["webhook-timestamp", String(Math.floor(at / 1000))],
      ...Object.entries(webhook.headers ?? {}),
    ],
    body: JSON.stringify(WRITERS[webhook.format]?.(delivery.payload) ?? delivery.payload),
  };
}

/** Whether the body of a request can be written here; the one for PagerDuty names the host that the daemon runs on. */
export function isKnown(format: WebhookFormat): boolean {
  return WRITERS[format] !== null;
}

const WRITERS: Record<WebhookFormat, ((scan: ScanMessage) => object) | null> = {
  json: (scan) => scan,
  slack: slackMessage,
  teams: teamsMessage,
  discord: discordMessage,
  pagerduty: null,
};

/** The request as text, with the signature named but not made. */
export function requestText({ url, headers, body }: SentRequest): string {
  const fields = headers.map(([name, value]) => `${name}: ${value}`);
  return [`POST ${url}`, ...fields, "webhook-signature: v1,…", "", body].join("\n");
}

/** A command that sends the request from a terminal, but for its signature. */
export function curlCommand({ url, headers, body }: SentRequest): string {
  const fields = headers.map(([name, value]) => `  -H ${quote(`${name}: ${value}`)} \\\n`).join("");
  return `curl -i -X POST ${quote(url)} \\\n${fields}  --data-raw ${quote(body)}`;
}

/** A word of a POSIX shell: nothing in single quotes means anything but what it is. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
