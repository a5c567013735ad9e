import { ACTIONS, TIERS_BY_GRAVITY, type Tier } from "../../scan-words.ts";
import { type ScanMessage, scanTime } from "./scan-message.ts";
import { plainLine } from "./scanner-text.ts";

/** Shorter than in a message about one event, as a line has a whole event in it. */
const MAX_NAME_LENGTH = 40;

/** A scan result and the id that the outside knows its event by. */
export type GroupedEvent = { eventId: string; scan: ScanMessage };

/** A kind of signals in plain words, and how many events have it. */
export type SignalKind = { domain: string; type: string; events: number };

/** What a message about several events says; texts are plain lines, not yet escaped for any format. */
export type GroupSummary = {
  /** Red, yellow, green: those that occur, with their actions. */
  tiers: { tier: Tier; count: number; actions: { action: string; count: number }[] }[];
  highestScore: number;
  /** The earliest and the latest scan; undefined if no event has a usable time. */
  span: { from: Date; until: Date } | undefined;
  /** Most frequent first; what reads the same is one kind. */
  kinds: SignalKind[];
  /** Gravest first: by tier, risk score, action, then in the order given. */
  events: GroupedEvent[];
};

export function summarize(events: readonly GroupedEvent[]): GroupSummary {
  const scans = events.map(({ scan }) => scan);
  return {
    tiers: TIERS_BY_GRAVITY.flatMap((tier) =>
      countTier(
        tier,
        scans.filter((scan) => scan.tier === tier),
      ),
    ),
    highestScore: Math.max(...scans.map((scan) => scan.risk_score)),
    span: spanOf(scans),
    kinds: kindsOf(scans),
    events: events.toSorted((a, b) => compareGravity(a.scan, b.scan)),
  };
}

/** The event's signal that weighs most, in plain words; undefined without signals. */
export function weightiestSignal({ signals }: ScanMessage): Pick<SignalKind, "domain" | "type"> | undefined {
  const [first] = signals.toSorted((a, b) => b.weight - a.weight || b.confidence - a.confidence);
  return (
    first && {
      domain: plainLine(first.domain, MAX_NAME_LENGTH),
      type: plainLine(first.type, MAX_NAME_LENGTH),
    }
  );
}

function countTier(tier: Tier, scans: ScanMessage[]): GroupSummary["tiers"] {
  if (scans.length === 0) return [];
  const actions = ACTIONS.map((action) => ({
    action,
    count: scans.filter((scan) => scan.action === action).length,
  }));
  return [{ tier, count: scans.length, actions: actions.filter(({ count }) => count > 0) }];
}

function spanOf(scans: ScanMessage[]): GroupSummary["span"] {
  const times = scans.flatMap((scan) => scanTime(scan)?.getTime() ?? []);
  if (times.length === 0) return undefined;
  return { from: new Date(Math.min(...times)), until: new Date(Math.max(...times)) };
}

function kindsOf(scans: ScanMessage[]): SignalKind[] {
  const kinds = new Map<string, SignalKind>();
  const plain = plainWords();
  for (const { signals } of scans) {
    const plainKinds = signals.map(({ domain, type }) => ({ domain: plain(domain), type: plain(type) }));
    const ofEvent = new Map(plainKinds.map((kind) => [`${kind.domain}\n${kind.type}`, kind]));
    for (const [key, kind] of ofEvent) kinds.set(key, { ...kind, events: (kinds.get(key)?.events ?? 0) + 1 });
  }
  return [...kinds.values()].sort((a, b) => b.events - a.events);
}

/** Makes words plain, each once: the events of a storm say the same few over and over. */
function plainWords(): (word: string) => string {
  const known = new Map<string, string>();
  return (word) => {
    const plain = known.get(word) ?? plainLine(word, MAX_NAME_LENGTH);
    known.set(word, plain);
    return plain;
  };
}

function compareGravity(a: ScanMessage, b: ScanMessage): number {
  return (
    TIERS_BY_GRAVITY.indexOf(a.tier) - TIERS_BY_GRAVITY.indexOf(b.tier) ||
    b.risk_score - a.risk_score ||
    ACTIONS.indexOf(a.action) - ACTIONS.indexOf(b.action)
  );
}
