import type { Tier } from "../../scan-words.ts";
import type { GroupSummary } from "./group-summary.ts";
import {
  EVENTS_TITLE,
  eventLines,
  groupFacts,
  groupHeadline,
  KINDS_TITLE,
  kindLines,
  plainTime,
  WHERE_TO_LOOK,
  worstTier,
} from "./group-text.ts";
import { type Fact, headline, type ScanMessage, scanFacts, scanTime } from "./scan-message.ts";
import { signalLines } from "./scanner-text.ts";

const CARD_TYPE = "application/vnd.microsoft.card.adaptive";
// Teams refuses a message of more than 28 KB, and some have seen less refused: two lists of ten short lines stay
// below 20 KB as UTF-8.
const MAX_LIST_LENGTH = 4000;

const STYLES: Record<Tier, string> = { red: "attention", yellow: "warning", green: "good" };

/**
 * A message with one Adaptive Card 1.4 for a Teams Workflows webhook (Microsoft Learn, "Create incoming
 * webhooks with Workflows for Microsoft Teams" and "Adaptive Cards schema explorer").
 */
export function teamsMessage(message: ScanMessage): Record<string, unknown> {
  const { signals } = message;
  const time = scanTime(message);
  const facts = [
    ...scanFacts(message),
    ...(time === undefined ? [] : [{ title: "Time", value: time.toISOString() }]),
  ];
  return card(
    headline(message),
    message.tier,
    facts,
    listBlocks(
      signals.length === 0 ? "No signals" : `Signals (${signals.length})`,
      signalLines(signals, escapeTeams, MAX_LIST_LENGTH),
    ),
  );
}

/** A Teams message about several events, of the same parts as that about one. */
export function teamsGroup(group: GroupSummary): Record<string, unknown> {
  return card(groupHeadline(group), worstTier(group), groupFacts(group, plainTime), [
    ...listBlocks(
      group.kinds.length === 0 ? "No signals" : KINDS_TITLE,
      kindLines(group, escapeTeams, MAX_LIST_LENGTH),
    ),
    ...listBlocks(EVENTS_TITLE, eventLines(group, escapeTeams, MAX_LIST_LENGTH)),
    { type: "TextBlock", text: WHERE_TO_LOOK, isSubtle: true, wrap: true },
  ]);
}

type Block = Record<string, unknown>;

function card(title: string, tier: Tier, facts: Fact[], blocks: Block[]): Record<string, unknown> {
  const heading = { type: "TextBlock", text: title, size: "Medium", weight: "Bolder", wrap: true };
  const content = {
    $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
    type: "AdaptiveCard",
    version: "1.4",
    fallbackText: title,
    body: [
      { type: "Container", style: STYLES[tier], bleed: true, items: [heading] },
      { type: "FactSet", facts },
      ...blocks,
    ],
  };
  return { type: "message", attachments: [{ contentType: CARD_TYPE, content }] };
}

// Teams on Android and iOS has long shown the backslashes of escaped Markdown (microsoft/AdaptiveCards#5590),
// so scanner text goes into a TextRun, where the schema says that Markdown is not supported, never into a
// TextBlock.
function listBlocks(title: string, lines: string[]): Block[] {
  return [
    { type: "TextBlock", text: title, weight: "Bolder", wrap: true },
    ...lines.map((line) => ({
      type: "RichTextBlock",
      spacing: "Small",
      inlines: [{ type: "TextRun", text: `• ${line}` }],
    })),
  ];
}

/**
 * The text without what a card host expands even outside Markdown: `<at>…</at>` mentions and HTML (angle
 * brackets become ‹ ›) and `{{DATE(…)}}` or `${…}` functions (a space parts the braces).
 */
export function escapeTeams(text: string): string {
  return text
    .replaceAll("<", "‹")
    .replaceAll(">", "›")
    .replace(/[{$](?=\{)/g, "$& ");
}
