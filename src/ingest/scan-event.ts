import { AppError } from "../errors.ts";
import { isUuid } from "../ids.ts";
import { ACTIONS, MAX_EXTERNAL_ID, TIERS } from "../scan-words.ts";
import { isPlainTimestamp, readTimestamp } from "../timestamp.ts";

/** One scan result, checked and reduced to what is documented (docs/CONTRACT.md, section 3). */
export interface ScanEvent {
  /** Null when the scanner left it out. */
  organizationId: string | null;
  externalId: string | null;
  /** Position in TIERS and EVENT_TYPES. */
  type: number;
  /** The payload that receivers get: seven keys in the documented order, nothing else of the line. */
  body: string;
}

const KNOWN_TIERS: readonly unknown[] = TIERS;
const KNOWN_ACTIONS: readonly unknown[] = ACTIONS;
const MAX_SIGNALS = 100;

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads one line, already parsed as JSON. Throws AppError with VALIDATION_ERROR that names the field.
 * `receivedAt` (wall time, milliseconds) stands in for a missing timestamp.
 */
export type DecodeScanEvent = (line: unknown, receivedAt: number) => ScanEvent;

export function createScanEventDecoder(): DecodeScanEvent {
  const readOrganizationId = createOrganizationIdReader();
  return (line, receivedAt) => {
    if (typeof line !== "object" || line === null || Array.isArray(line)) {
      throw invalid("a line must be a JSON object");
    }
    const fields = line as Fields;
    const tier = fields.tier;
    const type = KNOWN_TIERS.indexOf(tier);
    if (type < 0) throw invalid(`tier must be one of ${TIERS.join(", ")}`);
    const action = fields.action;
    if (!KNOWN_ACTIONS.includes(action)) throw invalid(`action must be one of ${ACTIONS.join(", ")}`);
    const riskScore = fields.risk_score;
    if (!isNumber(riskScore) || riskScore < 0 || riskScore > 100) {
      throw invalid("risk_score must be a number from 0 to 100");
    }
    const latency = fields.latency_ms ?? 0;
    if (!isNumber(latency) || latency < 0) throw invalid("latency_ms must be a number of 0 or more");
    const signals = readSignals(fields.signals);
    const timestamp = readTime(fields.timestamp, receivedAt);
    return {
      organizationId: readOrganizationId(fields.organization_id),
      externalId: readExternalId(fields.id),
      type,
      body: `{"event":"${tier}_tier","tier":"${tier}","action":"${action}","risk_score":${json(riskScore)},"signals":${signals},"latency_ms":${json(latency)},"timestamp":"${timestamp}"}`,
    };
  };
}

function invalid(message: string): AppError {
  return new AppError("VALIDATION_ERROR", message);
}

/** 1e400 parses as Infinity, which JSON cannot say. */
function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** As JSON.stringify writes a number: minus zero as 0. */
function json(value: number): string {
  return String(value);
}

function createOrganizationIdReader(): (value: unknown) => string | null {
  /** The latest one that was named: events come in runs of the same. */
  let latest: { text: string | null; id: string } = { text: null, id: "" };
  return (value) => {
    if (value === undefined || value === null) return null;
    if (value === latest.text) return latest.id;
    if (typeof value !== "string" || !isUuid(value)) throw invalid("organization_id must be a UUID");
    latest = { text: value, id: value.toLowerCase() };
    return latest.id;
  };
}

function readExternalId(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== "string" || value === "" || codePoints(value) > MAX_EXTERNAL_ID) {
    throw invalid(`id must be a string of 1 to ${MAX_EXTERNAL_ID} characters`);
  }
  // NUL would end the text early in some readers of the database, a lone surrogate has no UTF-8 form.
  if (value.includes("\0") || !value.isWellFormed())
    throw invalid("id must not contain NUL or lone surrogates");
  return value;
}

function codePoints(text: string): number {
  if (text.length <= MAX_EXTERNAL_ID) return text.length;
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

function readSignals(value: unknown): string {
  if (value === undefined || value === null) return "[]";
  if (!Array.isArray(value)) throw invalid("signals must be an array");
  if (value.length > MAX_SIGNALS) throw invalid(`signals must have at most ${MAX_SIGNALS} entries`);
  if (value.length === 0) return "[]";
  let text = "";
  for (let i = 0; i < value.length; i += 1) text += `${i === 0 ? "[" : ","}${readSignal(value[i], i)}`;
  return `${text}]`;
}

function readSignal(value: unknown, index: number): string {
  const at = `signals[${index}]`;
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalid(`${at} must be an object`);
  const { domain, type, confidence, weight } = value as Fields;
  if (typeof domain !== "string") throw invalid(`${at}.domain must be a string`);
  if (typeof type !== "string") throw invalid(`${at}.type must be a string`);
  if (!isNumber(confidence) || confidence < 0 || confidence > 1) {
    throw invalid(`${at}.confidence must be a number from 0 to 1`);
  }
  if (!isNumber(weight)) throw invalid(`${at}.weight must be a number`);
  return `{"domain":${quoted(domain)},"type":${quoted(type)},"confidence":${json(confidence)},"weight":${json(weight)}}`;
}

/** Letters, digits and the like: what needs no escape. */
const PLAIN_TEXT = /^[\w .:/-]*$/;

/** As JSON.stringify writes a string, which it takes longer to. */
function quoted(text: string): string {
  return PLAIN_TEXT.test(text) ? `"${text}"` : JSON.stringify(text);
}

function readTime(value: unknown, receivedAt: number): string {
  if (value === undefined || value === null) return new Date(receivedAt).toISOString();
  if (typeof value === "string" && isPlainTimestamp(value)) return value;
  const read = readTimestamp(typeof value === "string" ? value : "");
  if (typeof read === "string") throw invalid(`timestamp ${read}`);
  return read.utc;
}
