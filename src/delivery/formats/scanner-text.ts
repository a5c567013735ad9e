import { decimal, type ScanSignal } from "./scan-message.ts";

const MAX_NAME_LENGTH = 80;
const MAX_LISTED = 10;
const ROOM_FOR_MORE = "\n• and 1000000 more".length;

// Everything that breaks a line or is a control character; everything that is there but not seen: bidi
// overrides, zero-width and tag characters, fillers, variation selectors; noncharacters.
const BREAKS = /[\p{Cc}\p{Zl}\p{Zp}\s]+/gu;
const INVISIBLE = /[\p{Cf}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]+/gu;

/** Makes plain text safe for one format, without changing what it reads as. */
export type Quote = (text: string) => string;

/**
 * Text from a scanner as one visible, well-formed line of at most `max` UTF-16 units, not yet escaped for any
 * format. A URL is written `https[:]//…`, as security tools do, so that no client makes a link of it.
 */
export function plainLine(text: string, max = MAX_NAME_LENGTH): string {
  const line = text
    .slice(0, max * 8)
    .toWellFormed()
    .replace(BREAKS, " ")
    .replace(INVISIBLE, "")
    .replaceAll("://", "[:]//")
    .trim();
  return line === "" ? "(empty)" : shorten(line, max);
}

/** At most `max` UTF-16 units of a well-formed text, with an ellipsis if cut, never half a surrogate pair. */
export function shorten(text: string, max: number): string {
  if (text.length <= max) return text;
  const cut = text.slice(0, max - 1);
  return `${cut.isWellFormed() ? cut : cut.slice(0, -1)}…`;
}

/** Signals as lines such as `pii / ssn (confidence 98%, weight 50)`, as many as fit: see fittingLines. */
export function signalLines(signals: ScanSignal[], quote: Quote, maxLength: number): string[] {
  return fittingLines(
    signals.map((signal) => signalLine(signal, quote)),
    maxLength,
  );
}

/** As many of the first ten lines as fit into `maxLength` characters when joined by "\n• ", then "and N more". */
export function fittingLines(all: string[], maxLength: number): string[] {
  const lines: string[] = [];
  let room = maxLength - ROOM_FOR_MORE;
  for (const line of all.slice(0, MAX_LISTED)) {
    room -= line.length + "\n• ".length;
    if (room < 0) break;
    lines.push(line);
  }
  const left = all.length - lines.length;
  return left === 0 ? lines : [...lines, `and ${left} more`];
}

/** One signal as such a line, at most about 200 characters plus what `quote` adds. */
export function signalLine(signal: ScanSignal, quote: Quote): string {
  const name = `${quote(plainLine(signal.domain))} / ${quote(plainLine(signal.type))}`;
  return `${name} (confidence ${decimal(signal.confidence * 100)}%, weight ${decimal(signal.weight)})`;
}
