import type { WebhookFormat } from "../../formats.ts";
import { discordMessage } from "./discord.ts";
import { pagerdutyEvent, splitRoutingKey } from "./pagerduty.ts";
import type { ScanMessage } from "./scan-message.ts";
import { slackMessage } from "./slack.ts";
import { teamsMessage } from "./teams.ts";

/** One delivery before rendering: `body` is the canonical JSON text of CONTRACT section 4. */
export type RenderInput = { format: WebhookFormat; url: string; eventId: string; body: string };

/** Where to post and what: always application/json. The body is what is signed. */
export type RenderedRequest = { url: string; body: string };

/**
 * The request of a webhook's format; for `json` the URL and the body untouched. Deterministic: retries repeat
 * it.
 */
export function renderRequest(message: RenderInput): RenderedRequest {
  if (message.format === "json") return { url: message.url, body: message.body };
  const scan = JSON.parse(message.body) as ScanMessage;
  if (message.format === "pagerduty") return renderPagerduty(message, scan);
  return { url: message.url, body: JSON.stringify(CHAT_FORMATS[message.format](scan)) };
}

const CHAT_FORMATS = { slack: slackMessage, teams: teamsMessage, discord: discordMessage };

function renderPagerduty(message: RenderInput, scan: ScanMessage): RenderedRequest {
  const { url, routingKey } = splitRoutingKey(message.url);
  return { url, body: JSON.stringify(pagerdutyEvent(scan, { routingKey, dedupKey: message.eventId })) };
}
