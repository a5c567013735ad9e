import type { Action, Tier } from "../../scan-words.ts";

/** One finding of the scanner; `domain` and `type` are its own words, of any length and content. */
export type ScanSignal = { domain: string; type: string; confidence: number; weight: number };

/** The canonical message, exactly docs/CONTRACT.md, section 4; `event` is `<tier>_tier`, or `test`. */
export type ScanMessage = {
  event: string;
  tier: Tier;
  action: Action;
  risk_score: number;
  signals: ScanSignal[];
  latency_ms: number;
  timestamp: string;
};

/** The colour of each tier as 0xRRGGBB: the same in every format. */
export const TIER_COLOURS: Record<Tier, number> = { red: 0xd92d20, yellow: 0xf5a623, green: 0x2eb67d };

/** One line that says what happened, under 150 characters, with nothing in it that a scanner words freely. */
export function headline(message: ScanMessage): string {
  if (message.event === "test") return "Test message from armorhooks";
  const tier = message.tier.charAt(0).toUpperCase() + message.tier.slice(1);
  return `${tier} tier: ${message.action}, risk score ${decimal(message.risk_score)}`;
}

/** A fact with its title; nothing in it is a scanner's free words. */
export type Fact = { title: string; value: string };

/** What a message about one event says of it, beside its signals and its time. */
export function scanFacts({ tier, action, risk_score, latency_ms }: ScanMessage): Fact[] {
  return [
    { title: "Tier", value: tier },
    { title: "Action", value: action },
    { title: "Risk score", value: decimal(risk_score) },
    { title: "Latency", value: `${decimal(latency_ms)} ms` },
  ];
}

/**
 * The number with at most two decimals, without trailing zeros: 8, 0.5, 85.33; "?" for what JSON made null.
 */
export function decimal(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toFixed(2))) : "?";
}

/**
 * The time of the scan, or undefined unless Date reads a year from 1970 to 9999: receivers refuse other
 * times.
 */
export function scanTime(message: ScanMessage): Date | undefined {
  const time = new Date(message.timestamp);
  const year = time.getUTCFullYear();
  return year >= 1970 && year <= 9999 ? time : undefined;
}
