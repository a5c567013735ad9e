import { decimal, headline, type ScanMessage, scanTime, TIER_COLOURS } from "./scan-message.ts";
import { signalLines } from "./scanner-text.ts";

const MAX_SECTION_LENGTH = 3000;

/**
 * A Slack incoming-webhook message: `text` is the headline and the notification, one attachment carries the
 * tier's colour and the blocks (Slack, "Sending messages using incoming webhooks", "Block Kit: Section block,
 * Text object").
 */
export function slackMessage(message: ScanMessage): Record<string, unknown> {
  const colour = `#${TIER_COLOURS[message.tier].toString(16).padStart(6, "0")}`;
  return {
    text: headline(message),
    unfurl_links: false,
    unfurl_media: false,
    attachments: [
      { color: colour, blocks: [factsBlock(message), signalsBlock(message), timeBlock(message)] },
    ],
  };
}

function factsBlock(message: ScanMessage): Record<string, unknown> {
  const field = (label: string, value: string) => ({
    type: "mrkdwn",
    text: `*${label}*\n${escapeSlack(value)}`,
    verbatim: true,
  });
  return {
    type: "section",
    fields: [
      field("Tier", message.tier),
      field("Action", message.action),
      field("Risk score", decimal(message.risk_score)),
      field("Latency", `${decimal(message.latency_ms)} ms`),
    ],
  };
}

// mrkdwn has no escape for * _ ~ and `: scanner text goes into plain_text, where Slack reads no markup, no
// mention, no link and (emoji: false) no :emoji: at all.
function signalsBlock(message: ScanMessage): Record<string, unknown> {
  const title = message.signals.length === 0 ? "No signals" : `Signals (${message.signals.length})`;
  const lines = signalLines(message.signals, escapeSlack, MAX_SECTION_LENGTH - title.length);
  return {
    type: "section",
    text: { type: "plain_text", text: [title, ...lines].join("\n• "), emoji: false },
  };
}

function timeBlock(message: ScanMessage): Record<string, unknown> {
  const time = scanTime(message);
  const text = time === undefined ? "armorhooks" : `${slackDate(time)} · armorhooks`;
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
