import type { Tier } from "../../scan-words.ts";
import type { GroupSummary } from "./group-summary.ts";
import {
  EVENTS_TITLE,
  eventLines,
  groupFacts,
  groupHeadline,
  KINDS_TITLE,
  kindLines,
  WHERE_TO_LOOK,
  worstTier,
} from "./group-text.ts";
import { type Fact, headline, type ScanMessage, scanFacts, scanTime, TIER_COLOURS } from "./scan-message.ts";
import { signalLines } from "./scanner-text.ts";

const MAX_SECTION_LENGTH = 3000;

/**
 * A Slack incoming-webhook message: `text` is the headline and the notification, one attachment carries the
 * tier's colour and the blocks (Slack, "Sending messages using incoming webhooks", "Block Kit: Section block,
 * Text object").
 */
export function slackMessage(message: ScanMessage): Record<string, unknown> {
  const { signals } = message;
  const time = scanTime(message);
  return attach(headline(message), message.tier, [
    factsBlock(scanFacts(message)),
    listBlock(signals.length === 0 ? "No signals" : `Signals (${signals.length})`, (room) =>
      signalLines(signals, escapeSlack, room),
    ),
    contextBlock(time === undefined ? "armorhooks" : `${slackDate(time)} · armorhooks`),
  ]);
}

/** A Slack message about several events, of the same parts as that about one. */
export function slackGroup(group: GroupSummary): Record<string, unknown> {
  return attach(groupHeadline(group), worstTier(group), [
    factsBlock(groupFacts(group, slackDate)),
    listBlock(group.kinds.length === 0 ? "No signals" : KINDS_TITLE, (room) =>
      kindLines(group, escapeSlack, room),
    ),
    listBlock(EVENTS_TITLE, (room) => eventLines(group, escapeSlack, room)),
    contextBlock(WHERE_TO_LOOK),
  ]);
}

type Block = Record<string, unknown>;

function attach(text: string, tier: Tier, blocks: Block[]): Record<string, unknown> {
  const color = `#${TIER_COLOURS[tier].toString(16).padStart(6, "0")}`;
  return { text, unfurl_links: false, unfurl_media: false, attachments: [{ color, blocks }] };
}

// Slack takes ten fields of 2000 characters: facts are at most six short ones.
function factsBlock(facts: Fact[]): Block {
  const fields = facts.map(({ title, value }) => ({
    type: "mrkdwn",
    text: `*${title}*\n${value}`,
    verbatim: true,
  }));
  return { type: "section", fields };
}

// mrkdwn has no escape for * _ ~ and `: scanner text goes into plain_text, where Slack reads no markup, no
// mention, no link and (emoji: false) no :emoji: at all.
function listBlock(title: string, lines: (room: number) => string[]): Block {
  const text = [title, ...lines(MAX_SECTION_LENGTH - title.length)].join("\n• ");
  return { type: "section", text: { type: "plain_text", text, emoji: false } };
}

function contextBlock(text: string): Block {
  return { type: "context", elements: [{ type: "mrkdwn", text, verbatim: true }] };
}

function slackDate(time: Date): string {
  const seconds = Math.floor(time.getTime() / 1000);
  return `<!date^${seconds}^{date_short_pretty} {time_secs}|${time.toISOString()}>`;
}

/**
 * The three characters that Slack wants as entities, in every text object ("Formatting message text:
 * Escaping").
 */
export function escapeSlack(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
