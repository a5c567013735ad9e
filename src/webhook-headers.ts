/** Header fields that a webhook's requests carry beside ours, by name. */
export type WebhookHeaders = Readonly<Record<string, string>>;

export const MAX_HEADERS = 16;
export const MAX_HEADER_BYTES = 4096;
/** Stands for a value in every answer; sent back, it keeps the value that is there. */
export const HIDDEN_VALUE = "***";

/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const PRINTABLE = /^[\x20-\x7e]*$/;
/** What says how a request is sent, or what it is: that is ours to say. */
const RESERVED =
  /^(?:host|connection|transfer-encoding|te|trailer|upgrade|expect|user-agent|content-.*|webhook-.*|proxy-.*)$/i;

/** What is wrong with header fields, as a sentence that names the field; null when they may be sent. Values are never repeated. */
export function headersProblem(headers: WebhookHeaders): string | null {
  const entries = Object.entries(headers);
  if (entries.length > MAX_HEADERS) return `headers must have at most ${MAX_HEADERS} names`;
  const seen = new Set<string>();
  let bytes = 0;
  for (const [name, value] of entries) {
    if (!TOKEN.test(name)) return "headers must have names of letters, digits and -, as HTTP allows";
    if (RESERVED.test(name)) return `headers must not set ${name.toLowerCase()}, which is armorhooks' own`;
    if (seen.has(name.toLowerCase())) return `headers must name ${name.toLowerCase()} once`;
    if (!PRINTABLE.test(value)) return `headers.${name} must be printable ASCII`;
    seen.add(name.toLowerCase());
    bytes += name.length + value.length;
  }
  return bytes > MAX_HEADER_BYTES ? `headers must have at most ${MAX_HEADER_BYTES} characters in all` : null;
}

/**
 * The fields to keep when `next` is set where `present` is: a hidden value stands for the present one. Answers the
 * name of a hidden value that stands for none.
 */
export function revealed(next: WebhookHeaders, present: WebhookHeaders): WebhookHeaders | string {
  const known = new Map(Object.entries(present).map(([name, value]) => [name.toLowerCase(), value]));
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(next)) {
    const real = value === HIDDEN_VALUE ? known.get(name.toLowerCase()) : value;
    if (real === undefined) return name;
    kept[name] = real;
  }
  return kept;
}

/** As every answer shows them. */
export function hidden(names: readonly string[]): WebhookHeaders {
  return Object.fromEntries(names.map((name) => [name, HIDDEN_VALUE]));
}
