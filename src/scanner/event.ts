import { randomUUID } from "node:crypto";
import { EventRefusedError } from "./errors.ts";

/** What a scan found; `confidence` is 0 to 1. */
export interface Signal {
  domain: string;
  type: string;
  confidence: number;
  weight: number;
}

/** One scan result. Only these fields are sent: a whole scan result may be passed, the rest of it stays here. */
export interface ScanEvent {
  tier: "green" | "yellow" | "red";
  action: "allow" | "flag" | "block";
  /** 0 to 100. */
  risk_score: number;
  /** At most 100; none when left out. */
  signals?: readonly Signal[] | null | undefined;
  /** How long the scan took, in milliseconds, 0 or more; 0 when left out. */
  latency_ms?: number | null | undefined;
  /** ISO 8601 with a zone; the time of receipt when left out. */
  timestamp?: string | Date | null | undefined;
  /** The event's own id, 1 to 128 characters: the same again is stored once. A random one when left out. */
  id?: string | null | undefined;
  /** A UUID; may be left out while the daemon has exactly one organization. */
  organization_id?: string | null | undefined;
}

/** An event as it goes over the socket. */
export interface EventLine {
  id: string;
  /** JSON with its newline. */
  text: string;
  bytes: number;
}

/** What the daemon takes as one line, its newline not counted. */
const MAX_LINE_BYTES = 256 * 1024;

/** Throws EventRefusedError for what cannot be a line; what its fields hold is for the daemon to judge. */
export function toLine(event: ScanEvent): EventLine {
  if (typeof event !== "object" || event === null || Array.isArray(event)) {
    throw new EventRefusedError("an event must be an object", "VALIDATION_ERROR", "");
  }
  const id = event.id ?? randomUUID();
  const text = `${serialize(event, id)}\n`;
  const bytes = Buffer.byteLength(text);
  if (bytes - 1 <= MAX_LINE_BYTES) return { id, text, bytes };
  const message = `an event must have at most ${MAX_LINE_BYTES / 1024} KiB as JSON, this one has ${Math.ceil(bytes / 1024)} KiB`;
  throw new EventRefusedError(message, "PAYLOAD_TOO_LARGE", id);
}

function serialize(event: ScanEvent, id: string): string {
  const { organization_id, tier, action, risk_score, signals, latency_ms, timestamp } = event;
  const fields = { organization_id, id, tier, action, risk_score, signals, latency_ms, timestamp };
  try {
    return JSON.stringify({ ...fields, signals: Array.isArray(signals) ? signals.map(documented) : signals });
  } catch (cause) {
    // A BigInt, a circle, or an invalid Date.
    const message = `the event cannot be written as JSON: ${cause instanceof Error ? cause.message : cause}`;
    throw new EventRefusedError(message, "VALIDATION_ERROR", id, cause);
  }
}

/** A signal without what else a scanner knows of it, such as the text that was found. */
function documented(signal: unknown): unknown {
  if (typeof signal !== "object" || signal === null || Array.isArray(signal)) return signal;
  const { domain, type, confidence, weight } = signal as Signal;
  return { domain, type, confidence, weight };
}
