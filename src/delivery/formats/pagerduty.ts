import { routingKeyOf } from "../../formats.ts";
import type { Tier } from "../../scan-words.ts";
import { withoutParameter } from "./query.ts";
import { headline, type ScanMessage, type ScanSignal, scanTime } from "./scan-message.ts";
import { plainLine, shorten, signalLine } from "./scanner-text.ts";

const MAX_SUMMARY_LENGTH = 1024;
const NAMED_SIGNALS = 3;

const SEVERITIES: Record<Tier, string> = { red: "critical", yellow: "warning", green: "info" };

/** What every PagerDuty event carries: the integration's key and what makes repeats one alert. */
export type PagerdutyKeys = { routingKey: string; dedupKey: string };

/**
 * A trigger event of the PagerDuty Events API v2 ("Send an Alert Event"). PagerDuty shows text as it is, so
 * scanner text is only made plain and short; all signals are in custom_details, far below the limit of 512 KB
 * an event. `source` is the host that the alert comes from.
 */
export function pagerdutyEvent(
  message: ScanMessage,
  keys: PagerdutyKeys,
  source: string,
): Record<string, unknown> {
  const time = scanTime(message);
  return {
    routing_key: keys.routingKey,
    event_action: "trigger",
    dedup_key: keys.dedupKey,
    client: "armorhooks",
    payload: {
      summary: summary(message),
      source,
      severity: SEVERITIES[message.tier],
      ...(time === undefined ? {} : { timestamp: time.toISOString() }),
      class: message.event,
      custom_details: customDetails(message),
    },
  };
}

/** The event that resolves the alert which a trigger event with the same keys has raised. */
export function pagerdutyResolve(keys: PagerdutyKeys): Record<string, unknown> {
  return { routing_key: keys.routingKey, event_action: "resolve", dedup_key: keys.dedupKey };
}

/**
 * The URL to post to, its routing_key parameter taken off and the rest left as it is spelt, and that key: ""
 * (refused by PagerDuty) if missing.
 */
export function splitRoutingKey(url: string): { url: string; routingKey: string } {
  return { url: withoutParameter(url, "routing_key"), routingKey: routingKeyOf(url) ?? "" };
}

function summary(message: ScanMessage): string {
  const named = message.signals.slice(0, NAMED_SIGNALS).map(signalName);
  const left = message.signals.length - named.length;
  const list = left === 0 ? named.join(", ") : `${named.join(", ")} and ${left} more`;
  const text = list === "" ? headline(message) : `${headline(message)}: ${list}`;
  return shorten(text, MAX_SUMMARY_LENGTH);
}

function customDetails(message: ScanMessage): Record<string, unknown> {
  return {
    event: message.event,
    tier: message.tier,
    action: message.action,
    risk_score: message.risk_score,
    latency_ms: message.latency_ms,
    signals: message.signals.map((signal) => signalLine(signal, asItIs)),
  };
}

function signalName(signal: ScanSignal): string {
  return `${plainLine(signal.domain)}/${plainLine(signal.type)}`;
}

function asItIs(text: string): string {
  return text;
}
