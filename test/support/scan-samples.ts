import fc from "fast-check";
import type { RenderTarget } from "../../src/delivery/formats/render.ts";
import type { ScanMessage, ScanSignal } from "../../src/delivery/formats/scan-message.ts";
import type { WebhookFormat } from "../../src/formats.ts";

export const KEY = "R0123456789ABCDEF0123456789ABCDE";
export const URL_WITH_KEY = `https://events.pagerduty.com/v2/enqueue?routing_key=${KEY}`;
export const ORGANIZATION_ID = "6f1c1f0e-5d0c-4b6e-9a53-0a8f5d8c7b11";
export const EVENT_ID = "0196f5c2-7f3a-7c11-9d5e-0a1b2c3d4e5f";

export const red: ScanMessage = {
  event: "red_tier",
  tier: "red",
  action: "block",
  risk_score: 85,
  signals: [
    { domain: "pii", type: "ssn", confidence: 0.98, weight: 50 },
    { domain: "prompt_injection", type: "ignore_instructions", confidence: 0.8765, weight: 30 },
    { domain: "secrets", type: "api_key", confidence: 1, weight: 12.5 },
    { domain: "toxicity", type: "insult", confidence: 0.5, weight: 0 },
  ],
  latency_ms: 8.25,
  timestamp: "2026-01-15T10:00:00.000Z",
};

export const green: ScanMessage = {
  event: "test",
  tier: "green",
  action: "allow",
  risk_score: 0,
  signals: [],
  latency_ms: 0,
  timestamp: "2026-01-15T10:00:00.000Z",
};

export const HOSTILE_WORDS = [
  "<!channel> <@U123> &amp; <https://evil.test|click>",
  "*bold* _it_ ~no~ `code` ```block``` ||spoiler||",
  "[click](https://evil.test) ![x](http://evil.test/x.png)",
  "@everyone @here <@&1> <#2> <:a:3> :joy:",
  "<at>All</at> <b>b</b> {{DATE(2026-01-15T10:00:00Z)}} \x24{secret} {{{x",
  "line\nbreak\r\n\u2028tab\tnul\u0000bell\u0007esc\u001b[31m",
  "bidi \u202Egpj.exe\u202C \u2066iso\u2069 zero\u200Bwidth \u{E0041}tag",
  "lone \uD800 high, \uDC00 low",
  "\u200B\u0000",
  `${"a".repeat(78)}😀😀${"long".repeat(10_000)}`,
  "eleventh",
];

export const hostile: ScanMessage = {
  event: "yellow_tier",
  tier: "yellow",
  action: "flag",
  risk_score: 55.5555,
  signals: HOSTILE_WORDS.map((word) => ({ domain: word, type: word, confidence: 0.5, weight: 1 })),
  latency_ms: 1234567.891,
  timestamp: "2026-01-15T10:00:00+02:00",
};

/** A webhook of that format on the host `vm7`. */
export function targetOf(format: WebhookFormat, url = URL_WITH_KEY): RenderTarget {
  return { format, url, organizationId: ORGANIZATION_ID, source: "vm7" };
}

/** Every string of a JSON value, keys left out. */
export function strings(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(strings) : [];
}

const word = fc.oneof(
  fc.string({ unit: "binary", maxLength: 300 }),
  fc
    .array(fc.constantFrom("<", "&", "*", "\\", "\uD83D", "😀", "\n", "\u202E", "a"), { maxLength: 600 })
    .map((c) => c.join("")),
);

/** Any signal, with a liking for what formats escape. */
export const anySignal: fc.Arbitrary<ScanSignal> = fc.record({
  domain: word,
  type: word,
  confidence: fc.double({ min: 0, max: 1, noNaN: true }),
  weight: fc.double({ noNaN: true, noDefaultInfinity: true }),
});
