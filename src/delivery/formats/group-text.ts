import type { Tier } from "../../scan-words.ts";
import { type GroupedEvent, type GroupSummary, weightiestSignal } from "./group-summary.ts";
import { decimal, type Fact, headline, type ScanMessage, scanTime } from "./scan-message.ts";
import { fittingLines, type Quote } from "./scanner-text.ts";

/** The titles of the two lists. */
export const KINDS_TITLE = "Signals, most frequent first";
export const EVENTS_TITLE = "Events, gravest first";

/** The last line: where to look. */
export const WHERE_TO_LOOK = "An event in full: GET /v1/events/{id} · armorhooks";

/** The tier of the gravest event. */
export function worstTier({ tiers }: GroupSummary): Tier {
  return tiers[0]?.tier ?? "green";
}

/** How many, how long, how bad, on one line: under 150 characters, with no words of a scanner. */
export function groupHeadline({ events, span, tiers, highestScore }: GroupSummary): string {
  const within = span === undefined ? "" : ` within ${duration(span)}`;
  const counts = tiers.map(({ tier, count }) => `${count} ${tier}`).join(", ");
  return `${events.length} events${within}: ${counts}, highest risk score ${decimal(highestScore)}`;
}

/** Counts by tier and action, the highest score and the time span; `time` writes a time for the format. */
export function groupFacts(
  { tiers, highestScore, span }: GroupSummary,
  time: (time: Date) => string,
): Fact[] {
  return [
    ...tiers.map(({ tier, count, actions }) => ({
      title: `${tier.charAt(0).toUpperCase()}${tier.slice(1)} tier (${count})`,
      value: actions.map((of) => `${of.count} ${of.action}`).join(", "),
    })),
    { title: "Highest risk score", value: decimal(highestScore) },
    ...(span === undefined
      ? []
      : [
          { title: "First event", value: time(span.from) },
          { title: "Last event", value: time(span.until) },
        ]),
  ];
}

/** Lines such as `pii / ssn (40 events)`, as many as fit: see fittingLines. */
export function kindLines({ kinds }: GroupSummary, quote: Quote, maxLength: number): string[] {
  const lines = kinds.map(
    ({ domain, type, events }) =>
      `${quote(domain)} / ${quote(type)} (${events} ${events === 1 ? "event" : "events"})`,
  );
  return fittingLines(lines, maxLength);
}

/** Each event's headline, time, signals and id on a line, as many as fit: see fittingLines. */
export function eventLines({ events }: GroupSummary, quote: Quote, maxLength: number): string[] {
  return fittingLines(
    events.map((event) => eventLine(event, quote)),
    maxLength,
  );
}

/** A time to the second, such as `2026-01-15 10:00:00 UTC`. */
export function plainTime(time: Date): string {
  return `${time.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

function eventLine({ eventId, scan }: GroupedEvent, quote: Quote): string {
  const time = scanTime(scan);
  const parts = [headline(scan), time && plainTime(time), eventSignals(scan, quote), quote(eventId)];
  return parts.filter((part) => part !== undefined).join(" · ");
}

function eventSignals(scan: ScanMessage, quote: Quote): string {
  const kind = weightiestSignal(scan);
  if (kind === undefined) return "no signals";
  const name = `${quote(kind.domain)} / ${quote(kind.type)}`;
  return scan.signals.length === 1 ? name : `${name} and ${scan.signals.length - 1} more`;
}

/** The length of the span in its two largest units, rounded up to a second. */
function duration({ from, until }: NonNullable<GroupSummary["span"]>): string {
  const seconds = Math.max(1, Math.ceil((until.getTime() - from.getTime()) / 1000));
  const units: [string, number][] = [
    ["d", Math.floor(seconds / 86_400)],
    ["h", Math.floor(seconds / 3600) % 24],
    ["min", Math.floor(seconds / 60) % 60],
    ["s", seconds % 60],
  ];
  const largest = units.findIndex(([, count]) => count > 0);
  return units
    .slice(largest, largest + 2)
    .filter(([, count]) => count > 0)
    .map(([unit, count]) => `${count} ${unit}`)
    .join(" ");
}
