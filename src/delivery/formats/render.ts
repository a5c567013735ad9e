import { type ChatFormat, isGroupable, type WebhookFormat } from "../../formats.ts";
import { dedupKey } from "./dedup-key.ts";
import { discordGroup, discordMessage } from "./discord.ts";
import { type GroupSummary, summarize } from "./group-summary.ts";
import { pagerdutyEvent, pagerdutyResolve, splitRoutingKey } from "./pagerduty.ts";
import { withParameter } from "./query.ts";
import type { ScanMessage } from "./scan-message.ts";
import { slackGroup, slackMessage } from "./slack.ts";
import { teamsGroup, teamsMessage } from "./teams.ts";

/** Most events that one message may be about (docs/CONTRACT.md, section 4, "Grouping"). */
export const MAX_GROUP = 100;

/** What all messages of a webhook have in common. */
export type RenderTarget = {
  format: WebhookFormat;
  url: string;
  /** The webhook's organization as the outside knows it; null for the operator's own webhook. */
  organizationId: string | null;
  /** The host that the daemon runs on, for the person on call. */
  source: string;
};

/** An event before rendering: `body` is the canonical JSON text of docs/CONTRACT.md, section 4. */
export type RenderEvent = { eventId: string; body: string };

/** One event and where it goes. */
export type RenderInput = RenderTarget & RenderEvent;

/** Where to post and what: always application/json. The body is what is signed. */
export type RenderedRequest = { url: string; body: string };

/** Where a webhook's requests go: the URL, but for what a format takes off it or needs in it. */
export function requestUrl(format: WebhookFormat, url: string): string {
  if (format === "pagerduty") return splitRoutingKey(url).url;
  // Without it, Discord answers before it has stored the message ("Execute Webhook: Query String Params").
  return format === "discord" ? withParameter(url, "wait", "true") : url;
}

/**
 * The request of a webhook's format; for `json` the URL and the body untouched. Deterministic: retries repeat
 * it.
 */
export function renderRequest(message: RenderInput): RenderedRequest {
  const { format } = message;
  const url = requestUrl(format, message.url);
  if (format === "json") return { url, body: message.body };
  const scan = JSON.parse(message.body) as ScanMessage;
  const json =
    format === "pagerduty"
      ? pagerdutyEvent(scan, pagerdutyKeys(message, scan), message.source)
      : ONE_EVENT[format](scan);
  return { url, body: JSON.stringify(json) };
}

/**
 * One message about 1 to MAX_GROUP events of one webhook, in the order of their arrival; one event is
 * rendered as by renderRequest. Throws RangeError for another number, and for several events of a format that
 * is not groupable.
 */
export function renderGroup({
  events,
  ...target
}: RenderTarget & { events: readonly RenderEvent[] }): RenderedRequest {
  const [first] = events;
  if (first === undefined || events.length > MAX_GROUP)
    throw new RangeError(`a message is about 1 to ${MAX_GROUP} events, not ${events.length}`);
  if (events.length === 1) return renderRequest({ ...target, ...first });
  const { format } = target;
  if (!isGroupable(format)) throw new RangeError(`a ${format} message is about one event`);
  const group = summarize(
    events.map(({ eventId, body }) => ({ eventId, scan: JSON.parse(body) as ScanMessage })),
  );
  return { url: requestUrl(format, target.url), body: JSON.stringify(GROUP[format](group)) };
}

/** The request that resolves the alert which the same message, sent to a pagerduty webhook, has triggered. */
export function resolveTest(message: RenderInput): RenderedRequest {
  const keys = pagerdutyKeys(message, JSON.parse(message.body) as ScanMessage);
  return { url: requestUrl(message.format, message.url), body: JSON.stringify(pagerdutyResolve(keys)) };
}

type Rendered = Record<string, unknown>;

const ONE_EVENT: Record<ChatFormat, (scan: ScanMessage) => Rendered> = {
  slack: slackMessage,
  teams: teamsMessage,
  discord: discordMessage,
};

const GROUP: Record<ChatFormat, (group: GroupSummary) => Rendered> = {
  slack: slackGroup,
  teams: teamsGroup,
  discord: discordGroup,
};

function pagerdutyKeys({ url, eventId, organizationId }: RenderInput, scan: ScanMessage) {
  return {
    routingKey: splitRoutingKey(url).routingKey,
    dedupKey: dedupKey(scan, eventId, organizationId),
  };
}
