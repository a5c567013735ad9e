import { decimal, headline, type ScanMessage, scanTime, TIER_COLOURS } from "./scan-message.ts";
import { signalLines } from "./scanner-text.ts";

const MAX_FIELD_LENGTH = 1024;

type Field = { name: string; value: string; inline: boolean };

/**
 * A Discord webhook message with one embed and no mention allowed (Discord, "Execute Webhook", "Embed
 * Limits": 1024 characters a field value, 6000 in all).
 */
export function discordMessage(message: ScanMessage): Record<string, unknown> {
  const time = scanTime(message);
  const embed = {
    title: headline(message),
    color: TIER_COLOURS[message.tier],
    fields: [...facts(message), signalsField(message)],
    footer: { text: "armorhooks" },
    ...(time === undefined ? {} : { timestamp: time.toISOString() }),
  };
  return { embeds: [embed], allowed_mentions: { parse: [] } };
}

function facts(message: ScanMessage): Field[] {
  const field = (name: string, value: string): Field => ({ name, value, inline: true });
  return [
    field("Tier", message.tier),
    field("Action", message.action),
    field("Risk score", decimal(message.risk_score)),
    field("Latency", `${decimal(message.latency_ms)} ms`),
  ];
}

// A field's value may not be empty, so the one without signals says so.
function signalsField(message: ScanMessage): Field {
  const lines = signalLines(message.signals, escapeDiscord, MAX_FIELD_LENGTH);
  const value = lines.map((line) => `• ${line}`).join("\n");
  return { name: `Signals (${message.signals.length})`, value: value === "" ? "none" : value, inline: false };
}

/**
 * Backslashes before everything that Discord reads as Markdown, mention, emoji or link ("Message
 * Formatting").
 */
export function escapeDiscord(text: string): string {
  return text.replace(/[\\`*_~|<>@#:[\]()]/g, "\\$&");
}
