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

const MAX_FIELD_LENGTH = 1024;
const MAX_EVENTS_LENGTH = 4000;

type Field = { name: string; value: string; inline: boolean };

/**
 * A Discord webhook message with one embed and no mention allowed (Discord, "Execute Webhook", "Embed
 * Limits": 1024 characters a field value, 6000 in all).
 */
export function discordMessage(message: ScanMessage): Record<string, unknown> {
  const { signals } = message;
  const time = scanTime(message);
  const list = signalLines(signals, escapeDiscord, MAX_FIELD_LENGTH);
  return withoutMentions([
    {
      title: headline(message),
      color: TIER_COLOURS[message.tier],
      fields: [...scanFacts(message).map(inline), listField(`Signals (${signals.length})`, list)],
      footer: { text: "armorhooks" },
      ...(time === undefined ? {} : { timestamp: time.toISOString() }),
    },
  ]);
}

/**
 * A Discord message about several events: the counts in one embed, the gravest events in a second, as a
 * description is longer (4096 characters) than a field. The limit of 6000 is for both together.
 */
export function discordGroup(group: GroupSummary): Record<string, unknown> {
  const color = TIER_COLOURS[worstTier(group)];
  const facts = groupFacts(group, discordTime).map(inline);
  return withoutMentions([
    {
      title: groupHeadline(group),
      color,
      fields: [...facts, listField(KINDS_TITLE, kindLines(group, escapeDiscord, MAX_FIELD_LENGTH))],
    },
    {
      title: EVENTS_TITLE,
      color,
      description: bullets(eventLines(group, escapeDiscord, MAX_EVENTS_LENGTH)),
      footer: { text: WHERE_TO_LOOK },
    },
  ]);
}

function withoutMentions(embeds: Record<string, unknown>[]): Record<string, unknown> {
  return { embeds, allowed_mentions: { parse: [] } };
}

function inline({ title, value }: Fact): Field {
  return { name: title, value, inline: true };
}

// A field's value may not be empty, so the one without signals says so.
function listField(name: string, lines: string[]): Field {
  return { name, value: lines.length === 0 ? "none" : bullets(lines), inline: false };
}

function bullets(lines: string[]): string {
  return lines.map((line) => `• ${line}`).join("\n");
}

// Each reader's client shows it in the reader's own zone ("Message Formatting: Timestamps").
function discordTime(time: Date): string {
  const seconds = Math.floor(time.getTime() / 1000);
  return `<t:${seconds}:d> <t:${seconds}:T>`;
}

/**
 * Backslashes before everything that Discord reads as Markdown, mention, emoji or link ("Message
 * Formatting").
 */
export function escapeDiscord(text: string): string {
  return text.replace(/[\\`*_~|<>@#:[\]()]/g, "\\$&");
}
