import { decimal, headline, type ScanMessage, scanTime, type Tier } from "./scan-message.ts";
import { signalLines } from "./scanner-text.ts";

const CARD_TYPE = "application/vnd.microsoft.card.adaptive";
// Teams refuses a message of more than 28 KB; ten shortened signals stay far below.
const MAX_SIGNALS_LENGTH = 4000;

const STYLES: Record<Tier, string> = { red: "attention", yellow: "warning", green: "good" };

/**
 * A message with one Adaptive Card 1.4 for a Teams Workflows webhook (Microsoft Learn, "Create incoming
 * webhooks with Workflows for Microsoft Teams" and "Adaptive Cards schema explorer").
 */
export function teamsMessage(message: ScanMessage): Record<string, unknown> {
  return { type: "message", attachments: [{ contentType: CARD_TYPE, content: card(message) }] };
}

function card(message: ScanMessage): Record<string, unknown> {
  const title = { type: "TextBlock", text: headline(message), size: "Medium", weight: "Bolder", wrap: true };
  return {
    $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
    type: "AdaptiveCard",
    version: "1.4",
    fallbackText: headline(message),
    body: [
      { type: "Container", style: STYLES[message.tier], bleed: true, items: [title] },
      { type: "FactSet", facts: facts(message) },
      ...signalBlocks(message),
    ],
  };
}

function facts(message: ScanMessage): { title: string; value: string }[] {
  const time = scanTime(message);
  return [
    { title: "Tier", value: message.tier },
    { title: "Action", value: message.action },
    { title: "Risk score", value: decimal(message.risk_score) },
    { title: "Latency", value: `${decimal(message.latency_ms)} ms` },
    ...(time === undefined ? [] : [{ title: "Time", value: time.toISOString() }]),
  ];
}

// Teams on Android and iOS has long shown the backslashes of escaped Markdown (microsoft/AdaptiveCards#5590),
// so scanner text goes into a TextRun, where the schema says that Markdown is not supported, never into a
// TextBlock.
function signalBlocks(message: ScanMessage): Record<string, unknown>[] {
  const title = message.signals.length === 0 ? "No signals" : `Signals (${message.signals.length})`;
  const lines = signalLines(message.signals, escapeTeams, MAX_SIGNALS_LENGTH);
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
