/**
 * Reads one HTTP/1.1 response (RFC 9112) as it arrives, keeping only what a delivery needs: the status,
 * `Retry-After` and the first bytes of the body. What a receiver sends is bounded here in every dimension.
 */
export interface ResponseParser {
  /** Makes ready for the next response on the same connection. */
  reset(): void;
  /** Takes bytes; `more` wants further ones, `done` has all that is needed, `invalid` is no HTTP. */
  push(chunk: Buffer): ParserState;
  /** The connection ended: only a body without a stated length may end so. */
  end(): ParserState;
  readonly response: ParsedResponse;
  /** Whether any byte has arrived. */
  readonly started: boolean;
}

export type ParserState = "more" | "done" | "invalid";

export interface ParsedResponse {
  status: number;
  retryAfter: string | null;
  excerpt: Buffer | null;
  /** Whether the connection is at a clean boundary and may carry another request. */
  reusable: boolean;
  /** Milliseconds for which the receiver says that it keeps an idle connection; null when it does not say. */
  keepAliveMs: number | null;
}

export const MAX_HEADER_BYTES = 16 * 1024;
/** A longer body is not read to its end: the status is known, and the connection is closed. */
export const MAX_BODY_BYTES = 16 * 1024;
export const EXCERPT_BYTES = 1024;
const MAX_INTERIM_RESPONSES = 8;
const MAX_CHUNK_LINE_BYTES = 1024;
/** A longer response is parsed anew each time, rather than kept while its connection idles. */
const MAX_KEPT_BYTES = 1024;

type Phase =
  | "head"
  | "fixed"
  | "chunk-size"
  | "chunk-data"
  | "chunk-end"
  | "trailers"
  | "until-close"
  | "done";

/** The longest end of a head: so that what is too long is so however it is cut into pieces. */
const HEAD_END_BYTES = 4;

const EMPTY = Buffer.alloc(0);

export function createResponseParser(): ResponseParser {
  let response = emptyResponse();
  let phase: Phase = "head";
  /** What has come and is not read yet starts at `at`. */
  let held: Buffer = EMPTY;
  let at = 0;
  let remaining = 0;
  let bodyBytes = 0;
  let interim = 0;
  let started = false;
  /** The latest response that came in one piece: receivers send the same bytes again and again. */
  let latest: { text: string; response: ParsedResponse } | null = null;

  /** Takes a parsed head; false when it is not one that may come. */
  const takeHead = (head: Head): boolean => {
    if (head.status < 200) {
      interim += 1;
      return head.status !== 101 && interim <= MAX_INTERIM_RESPONSES;
    }
    response.status = head.status;
    response.retryAfter = head.retryAfter;
    response.reusable = head.persistent && head.framing !== "until-close";
    response.keepAliveMs = head.keepAliveMs;
    remaining = head.length;
    phase = head.framing;
    return true;
  };

  const takeBody = (from: number, to: number): void => {
    const before = response.excerpt;
    const wanted = Math.min(to - from, EXCERPT_BYTES - (before?.length ?? 0));
    if (wanted > 0) {
      const bytes = held.subarray(from, from + wanted);
      // The chunk's memory belongs to the socket; what is kept must be our own.
      response.excerpt = before ? Buffer.concat([before, bytes]) : Buffer.from(bytes);
    }
    bodyBytes += to - from;
    if (bodyBytes > MAX_BODY_BYTES) {
      response.reusable = false;
      phase = "done";
    }
  };

  /** One step over the held bytes; false when more are needed, null when they are no HTTP. */
  const step = (): boolean | null => {
    if (phase === "head") return stepHead();
    if (phase === "until-close") {
      takeBody(at, held.length);
      at = held.length;
      return false;
    }
    if (phase === "fixed" || phase === "chunk-data") return stepData();
    return stepLine();
  };

  const stepHead = (): boolean | null => {
    const rest = at === 0 ? held : held.subarray(at);
    const end = headEnd(rest);
    if (end === null) return rest.length >= MAX_HEADER_BYTES + HEAD_END_BYTES ? null : false;
    if (end.head > MAX_HEADER_BYTES) return null;
    const head = parseHead(rest.toString("latin1", 0, end.head));
    if (!head) return null;
    at += end.next;
    return takeHead(head) ? true : null;
  };

  const stepData = (): boolean => {
    const to = Math.min(held.length, at + remaining);
    const from = at;
    at = to;
    remaining -= to - from;
    takeBody(from, to);
    if (phase === "done") return true;
    if (remaining > 0) return false;
    phase = phase === "fixed" ? "done" : "chunk-end";
    return true;
  };

  /** The lines of chunked coding: sizes, the line break behind each chunk, trailers. */
  const stepLine = (): boolean | null => {
    const end = held.indexOf(10, at);
    if (end - at > MAX_CHUNK_LINE_BYTES) return null;
    if (end < 0) return held.length - at > MAX_CHUNK_LINE_BYTES ? null : false;
    const line = held.toString("latin1", at, end).replace(/\r$/, "");
    at = end + 1;
    return takeLine(line) ? true : null;
  };

  const takeLine = (line: string): boolean => {
    if (phase === "chunk-end") {
      phase = "chunk-size";
      return line === "";
    }
    if (phase === "trailers") {
      if (line === "") phase = "done";
      bodyBytes += line.length;
      return bodyBytes <= MAX_BODY_BYTES + MAX_HEADER_BYTES;
    }
    const size = /^([0-9a-f]{1,8})[ \t]*(?:;.*)?$/i.exec(line)?.[1];
    if (size === undefined) return false;
    remaining = Number.parseInt(size, 16);
    phase = remaining === 0 ? "trailers" : "chunk-data";
    return true;
  };

  return {
    reset() {
      response = emptyResponse();
      phase = "head";
      held = EMPTY;
      at = 0;
      remaining = 0;
      bodyBytes = 0;
      interim = 0;
      started = false;
    },
    get response() {
      return response;
    },
    get started() {
      return started;
    },
    push(chunk) {
      const whole = !started && chunk.length <= MAX_KEPT_BYTES;
      started = true;
      if (whole && chunk.length === latest?.text.length && chunk.toString("latin1") === latest.text) {
        response = { ...latest.response };
        phase = "done";
        return "done";
      }
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      // "fixed" with nothing remaining is complete without a byte of body.
      while (phase !== "done" && (at < held.length || (phase === "fixed" && remaining === 0))) {
        const stepped = step();
        if (stepped === null) return "invalid";
        if (!stepped) break;
      }
      if (phase !== "done") {
        held = at < held.length ? Buffer.from(held.subarray(at)) : EMPTY;
        at = 0;
        return "more";
      }
      if (at < held.length) response.reusable = false;
      else if (whole) latest = { text: chunk.toString("latin1"), response: { ...response } };
      // Even an empty view would keep the whole chunk in memory while the connection idles.
      held = EMPTY;
      at = 0;
      return "done";
    },
    end() {
      return phase === "until-close" || phase === "done" ? "done" : "invalid";
    },
  };
}

function emptyResponse(): ParsedResponse {
  return { status: 0, retryAfter: null, excerpt: null, reusable: false, keepAliveMs: null };
}

interface HeadEnd {
  head: number;
  next: number;
}

/** Where the head ends; line feeds alone are taken too (RFC 9112, 2.2). */
function headEnd(bytes: Buffer): HeadEnd | null {
  const strict = bytes.indexOf("\n\r\n", 0, "latin1");
  const loose = bytes.indexOf("\n\n", 0, "latin1");
  const first = strict >= 0 && (loose < 0 || strict < loose) ? strict : loose;
  if (first < 0) return null;
  return { head: bytes[first - 1] === 13 ? first - 1 : first, next: first + (first === strict ? 3 : 2) };
}

interface Head {
  status: number;
  framing: "fixed" | "chunk-size" | "until-close";
  length: number;
  persistent: boolean;
  retryAfter: string | null;
  keepAliveMs: number | null;
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: .*)?$/;

function parseHead(text: string): Head | null {
  const lines = text.split(/\r?\n/);
  const status = STATUS_LINE.exec(lines[0] ?? "");
  if (!status) return null;
  const fields = parseFields(lines);
  if (!fields) return null;
  const code = Number(status[2]);
  const framing = parseFraming(code, fields);
  if (!framing) return null;
  const connection = fields.get("connection")?.toLowerCase() ?? "";
  const persistent =
    status[1] === "1"
      ? !connection.includes("close")
      : connection.includes("keep-alive") && framing.framing === "fixed";
  return {
    status: code,
    ...framing,
    persistent,
    retryAfter: fields.get("retry-after") ?? null,
    keepAliveMs: parseKeepAlive(fields.get("keep-alive")),
  };
}

const WANTED = new Set(["connection", "content-length", "keep-alive", "retry-after", "transfer-encoding"]);

function parseFields(lines: readonly string[]): Map<string, string> | null {
  const fields = new Map<string, string>();
  let last = "";
  for (let i = 1; i < lines.length; i += 1) {
    const line = lines[i] as string;
    if (isBlank(line, 0)) {
      // A folded line belongs to the field before it (RFC 9112, 5.2).
      if (i === 1) return null;
      if (fields.has(last)) fields.set(last, `${fields.get(last)} ${line.trim()}`.trim());
      continue;
    }
    const colon = line.indexOf(":");
    if (colon <= 0 || isBlank(line, colon - 1)) return null;
    last = line.slice(0, colon).toLowerCase();
    if (!WANTED.has(last)) continue;
    const value = line.slice(colon + 1).trim();
    const before = fields.get(last);
    fields.set(last, before === undefined ? value : `${before}, ${value}`);
  }
  return fields;
}

function isBlank(line: string, index: number): boolean {
  const code = line.charCodeAt(index);
  return code === 32 || code === 9;
}

/** How long the body is (RFC 9112, 6.3); null when the head contradicts itself. */
function parseFraming(status: number, fields: Map<string, string>): Pick<Head, "framing" | "length"> | null {
  if (status < 200 || status === 204 || status === 304) return { framing: "fixed", length: 0 };
  const coding = fields.get("transfer-encoding");
  const length = fields.get("content-length");
  if (coding !== undefined) {
    return coding.toLowerCase() === "chunked" && length === undefined
      ? { framing: "chunk-size", length: 0 }
      : null;
  }
  if (length === undefined) return { framing: "until-close", length: 0 };
  const values = new Set(length.split(",").map((value) => value.trim()));
  const [value] = values;
  if (values.size !== 1 || value === undefined || !/^\d{1,15}$/.test(value)) return null;
  return { framing: "fixed", length: Number(value) };
}

function parseKeepAlive(value: string | undefined): number | null {
  const seconds = /(?:^|[,;\s])timeout=(\d{1,6})/i.exec(value ?? "")?.[1];
  return seconds === undefined ? null : Number(seconds) * 1000;
}
