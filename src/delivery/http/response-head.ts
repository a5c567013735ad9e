/** The head of an HTTP/1.1 response: its status, and the fields that a delivery needs. */
export interface Head {
  status: number;
  /** How the end of the body is found (RFC 9112, 6.3). */
  framing: "fixed" | "chunk-size" | "until-close";
  /** Bytes of a fixed body. */
  length: number;
  /** Whether the connection may carry another request, as far as the head tells. */
  persistent: boolean;
  retryAfter: string | null;
  /** `X-RateLimit-Reset-After`. */
  resetAfter: string | null;
  /** Milliseconds for which the receiver says that it keeps an idle connection; null when it does not say. */
  keepAliveMs: number | null;
  /** Whether a proxy says that it has passed it on. */
  via: boolean;
}

/** What is kept of a whole response. */
export interface ParsedResponse
  extends Pick<Head, "status" | "retryAfter" | "resetAfter" | "keepAliveMs" | "via"> {
  /** The first MAX_BODY_BYTES of the body; null when none came. */
  body: Buffer | null;
  /** Whether the connection is at a clean boundary and may carry another request. */
  reusable: boolean;
}

export function emptyResponse(): ParsedResponse {
  return {
    status: 0,
    retryAfter: null,
    resetAfter: null,
    body: null,
    reusable: false,
    keepAliveMs: null,
    via: false,
  };
}

export interface HeadEnd {
  /** Bytes of the head, without the empty line behind it. */
  head: number;
  /** Where the body starts. */
  next: number;
}

/** Where the head ends, looked for from a byte on; line feeds alone are taken too (RFC 9112, 2.2). */
export function headEnd(bytes: Buffer, from = 0): HeadEnd | null {
  const strict = bytes.indexOf("\n\r\n", from, "latin1");
  const loose = bytes.indexOf("\n\n", from, "latin1");
  const first = strict >= 0 && (loose < 0 || strict < loose) ? strict : loose;
  if (first < 0) return null;
  return { head: bytes[first - 1] === 13 ? first - 1 : first, next: first + (first === strict ? 3 : 2) };
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: .*)?$/;

/** Null for what is no head of a response. One that contradicts itself about its body is one: its status counts. */
export function parseHead(text: string): Head | null {
  const lines = text.split(/\r?\n/);
  const status = STATUS_LINE.exec(lines[0] ?? "");
  if (!status) return null;
  const fields = parseFields(lines);
  if (!fields) return null;
  const code = Number(status[2]);
  const { framing, length, sound } = parseFraming(code, fields);
  const connection = fields.get("connection")?.toLowerCase() ?? "";
  const kept =
    status[1] === "1"
      ? !connection.includes("close")
      : connection.includes("keep-alive") && framing === "fixed";
  return {
    status: code,
    framing,
    length,
    persistent: kept && sound && framing !== "until-close",
    retryAfter: fields.get("retry-after") ?? null,
    resetAfter: fields.get("x-ratelimit-reset-after") ?? null,
    keepAliveMs: parseKeepAlive(fields.get("keep-alive")),
    via: fields.has("via"),
  };
}

const WANTED = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "retry-after",
  "transfer-encoding",
  "via",
  "x-ratelimit-reset-after",
]);

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

type Framing = Pick<Head, "framing" | "length"> & {
  /** False when the head contradicts itself: what comes is read as well as it can be, and the connection is given up. */
  sound: boolean;
};

function parseFraming(status: number, fields: Map<string, string>): Framing {
  if (status < 200 || status === 204 || status === 304) return { framing: "fixed", length: 0, sound: true };
  const coding = fields.get("transfer-encoding")?.toLowerCase();
  const length = fields.get("content-length");
  if (coding !== undefined) {
    const sound = coding === "chunked" && length === undefined;
    return { framing: /(^|[\s,])chunked$/.test(coding) ? "chunk-size" : "until-close", length: 0, sound };
  }
  if (length === undefined) return { framing: "until-close", length: 0, sound: true };
  const values = new Set(length.split(",").map((value) => value.trim()));
  const [value] = values;
  if (values.size !== 1 || value === undefined || !/^\d{1,15}$/.test(value))
    return { framing: "until-close", length: 0, sound: false };
  return { framing: "fixed", length: Number(value), sound: true };
}

function parseKeepAlive(value: string | undefined): number | null {
  const seconds = /(?:^|[,;\s])timeout=(\d{1,6})/i.exec(value ?? "")?.[1];
  return seconds === undefined ? null : Number(seconds) * 1000;
}
