import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { renderRequest } from "../../src/delivery/formats/render.ts";
import type { ScanMessage, ScanSignal } from "../../src/delivery/formats/scan-message.ts";
import { plainLine, shorten } from "../../src/delivery/formats/scanner-text.ts";
import { missingRoutingKey, WEBHOOK_FORMATS, type WebhookFormat } from "../../src/formats.ts";

const KEY = "R0123456789ABCDEF0123456789ABCDE";
const URL_WITH_KEY = `https://events.pagerduty.com/v2/enqueue?routing_key=${KEY}`;
const EVENT_ID = "0196f5c2-7f3a-7c11-9d5e-0a1b2c3d4e5f";
const RENDERED = WEBHOOK_FORMATS.filter((format) => format !== "json");

const red: ScanMessage = {
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

const green: ScanMessage = {
  event: "test",
  tier: "green",
  action: "allow",
  risk_score: 0,
  signals: [],
  latency_ms: 0,
  timestamp: "2026-01-15T10:00:00.000Z",
};

const HOSTILE_WORDS = [
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

const hostile: ScanMessage = {
  event: "yellow_tier",
  tier: "yellow",
  action: "flag",
  risk_score: 55.5555,
  signals: HOSTILE_WORDS.map((word) => ({ domain: word, type: word, confidence: 0.5, weight: 1 })),
  latency_ms: 1234567.891,
  timestamp: "2026-01-15T10:00:00+02:00",
};

function render(format: WebhookFormat, message: ScanMessage, url = URL_WITH_KEY) {
  const rendered = renderRequest({ format, url, eventId: EVENT_ID, body: JSON.stringify(message) });
  return { url: rendered.url, text: rendered.body, json: JSON.parse(rendered.body) };
}

/** Every string of a JSON value, keys left out. */
function strings(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(strings) : [];
}

function withSignals(...words: string[]): ScanMessage {
  return { ...red, signals: words.map((word) => ({ domain: word, type: "x", confidence: 1, weight: 1 })) };
}

/** All that a Slack message says about one signal whose domain is `word`. */
function slackSignals(...words: string[]): string {
  return render("slack", withSignals(...words)).json.attachments[0].blocks[1].text.text;
}

function discordSignals(...words: string[]): string {
  return render("discord", withSignals(...words)).json.embeds[0].fields.at(-1).value;
}

function teamsRuns(...words: string[]): string[] {
  const blocks = render("teams", withSignals(...words)).json.attachments[0].content.body.slice(3);
  return blocks.map((block: { inlines: { text: string }[] }) => block.inlines[0]?.text);
}

describe("golden files (rewrite them with UPDATE_GOLDEN=1)", () => {
  const cases = { red, "green-test": green, hostile };
  for (const format of RENDERED) {
    for (const [name, message] of Object.entries(cases)) {
      test(`${format}-${name}.json is what is sent`, async () => {
        const path = fileURLToPath(new URL(`./golden/${format}-${name}.json`, import.meta.url));
        const { json } = render(format, message);
        if (process.env.UPDATE_GOLDEN === "1") await Bun.write(path, `${JSON.stringify(json, null, 2)}\n`);
        expect(existsSync(path), `${path} is missing`).toBe(true);
        expect(json).toStrictEqual(await Bun.file(path).json());
      });
    }
  }
});

describe("json", () => {
  test("leaves body and URL untouched, even a body that is not JSON", () => {
    const message = { url: "https://a.test/x?routing_key=1&b=%20", eventId: EVENT_ID, body: '{"event" : 1 ' };
    expect(renderRequest({ format: "json", ...message })).toStrictEqual({
      url: message.url,
      body: message.body,
    });
  });
});

describe("every rendered format", () => {
  test("gives the same bytes for the same message, so that a retry repeats the request", () => {
    for (const format of RENDERED) expect(render(format, hostile).text).toBe(render(format, hostile).text);
  });

  test("leaves the URL as it is unless it is a PagerDuty key", () => {
    const url = "https://a.test/x?thread_id=1&b=%20";
    for (const format of ["slack", "teams", "discord"] as const)
      expect(render(format, red, url).url).toBe(url);
  });

  test("has no control, bidi or invisible character and no half surrogate pair from a scanner", () => {
    for (const format of RENDERED) {
      for (const text of strings(render(format, hostile).json)) {
        expect(text.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        expect(text.isWellFormed()).toBe(true);
      }
    }
  });

  test("has no URL from a scanner that a client could make a link of", () => {
    for (const format of RENDERED) expect(render(format, hostile).text).not.toMatch(/https?:\/\/evil/);
  });

  test("leaves out a time that is none instead of sending what the receiver refuses", () => {
    for (const format of RENDERED) {
      const texts = ["2026-W03-4", "+275760-01-01T00:00:00Z"].map(
        (timestamp) => render(format, { ...red, timestamp }).text,
      );
      expect(texts.join()).not.toMatch(/W03|Invalid|NaN|275760/);
    }
  });

  test("says how many signals it does not list", () => {
    const words = Array.from({ length: 14 }, (_, index) => `d${index}`);
    expect(slackSignals(...words)).toEndWith("and 4 more");
    expect(discordSignals(...words)).toEndWith("and 4 more");
    expect(teamsRuns(...words).at(-1)).toBe("• and 4 more");
    expect(render("pagerduty", withSignals(...words)).json.payload.summary).toEndWith("d2/x and 11 more");
  });
});

describe("scanner text", () => {
  test("becomes one line of visible characters", () => {
    expect(plainLine("a\r\n\tb\u0000\u202Ec\u200B \u2028d")).toBe("a b c d");
    expect(plainLine("\u200B \u0000")).toBe("(empty)");
    expect(plainLine("x\uD800y")).toBe("x\uFFFDy");
  });

  test("is shortened without cutting a character in two", () => {
    expect(shorten("abcdef", 6)).toBe("abcdef");
    expect(shorten("abcdefg", 6)).toBe("abcde…");
    expect(shorten("abcd😀😀", 6)).toBe("abcd…");
    expect(plainLine("😀".repeat(1000)).isWellFormed()).toBe(true);
  });
});

describe("slack", () => {
  test("escapes & < > and nothing else, in a text object that reads no markup", () => {
    const { text } = render("slack", withSignals("<!channel> & *b* `c` :joy:")).json.attachments[0].blocks[1];
    expect(text.text).toContain("• &lt;!channel&gt; &amp; *b* `c` :joy: / x");
    expect(text).toMatchObject({ type: "plain_text", emoji: false });
  });

  test("has no scanner text in the headline or in any mrkdwn object", () => {
    const { json } = render("slack", hostile);
    expect(json.text).toBe("Yellow tier: flag, risk score 55.56");
    const mrkdwn = [...json.attachments[0].blocks[0].fields, ...json.attachments[0].blocks[2].elements];
    expect(mrkdwn.every((object: { verbatim: boolean }) => object.verbatim)).toBe(true);
    expect(strings(mrkdwn).join()).not.toMatch(/channel|evil|everyone/);
  });

  test("keeps a section within 3000 characters when every character is escaped", () => {
    const text = slackSignals(...Array.from({ length: 100 }, () => "&".repeat(500)));
    expect(text.length).toBeLessThanOrEqual(3000);
    expect(text).toMatch(/and \d+ more$/);
  });
});

describe("teams", () => {
  test("puts scanner text into text runs only, where Markdown is not read", () => {
    const [container, facts, title, ...signals] = render("teams", hostile).json.attachments[0].content.body;
    expect(strings([container, facts, title]).join()).not.toMatch(/evil|everyone|<at>/);
    expect(signals.every((block: { type: string }) => block.type === "RichTextBlock")).toBe(true);
  });

  test("makes no mention, HTML or card function of scanner text", () => {
    expect(teamsRuns("<at>All</at>")[0]).toStartWith("• ‹at›All‹/at› / x");
    expect(teamsRuns("{{DATE(1)}} \x24{x} {{{")[0]).toStartWith("• { {DATE(1)}} $ {x} { { { / x");
    expect(render("teams", hostile).json.attachments[0].content.msteams).toBeUndefined();
  });
});

describe("discord", () => {
  test("allows no mention, whatever the text says", () => {
    expect(render("discord", hostile).json.allowed_mentions).toEqual({ parse: [] });
  });

  test("escapes Markdown, mentions, emoji and links with backslashes", () => {
    const text = discordSignals("@everyone <@1> *b* _i_ ~s~ `c` |h| [l](u) :joy: \\");
    expect(text).toContain(
      "\\@everyone \\<\\@1\\> \\*b\\* \\_i\\_ \\~s\\~ \\`c\\` \\|h\\| \\[l\\]\\(u\\) \\:joy\\: \\\\ / x",
    );
  });

  test("keeps the signals field within 1024 characters and never empty", () => {
    expect(discordSignals(...Array.from({ length: 100 }, () => "*".repeat(500))).length).toBeLessThanOrEqual(
      1024,
    );
    expect(discordSignals()).toBe("none");
  });
});

describe("pagerduty", () => {
  test("moves the routing key from the URL to the body and keeps the other parameters", () => {
    const { url, json } = render("pagerduty", red, `https://pd.test/v2/enqueue?a=1&routing_key=${KEY}&b=2`);
    expect(url).toBe("https://pd.test/v2/enqueue?a=1&b=2");
    expect(render("pagerduty", red).url).toBe("https://events.pagerduty.com/v2/enqueue");
    expect(json).toMatchObject({ routing_key: KEY, event_action: "trigger", dedup_key: EVENT_ID });
  });

  test("rates red critical, yellow warning and green info", () => {
    const severity = (message: ScanMessage) => render("pagerduty", message).json.payload.severity;
    expect([red, hostile, green].map(severity)).toEqual(["critical", "warning", "info"]);
  });

  test.each([
    ["?a=b%20c&routing_key=KEY&d=e%2Bf+g%2f", "?a=b%20c&d=e%2Bf+g%2f"],
    ["?routing%5Fkey=KEY&a", "?a"],
    ["?a=%zz&routing_key=KEY&&b==", "?a=%zz&&b=="],
    ["?routing_key=KEY", ""],
  ])("of the query %s goes %s, as it was written", (query, rest) => {
    const { url } = render("pagerduty", red, `https://pd.test/x%20y${query.replace("KEY", KEY)}`);
    expect(url).toBe(`https://pd.test/x%20y${rest}`);
  });

  test("a URL must have exactly one routing_key of 1 to 64 characters", () => {
    const missing = (query: string) => missingRoutingKey(`https://pd.test/v2/enqueue${query}`);
    expect(["?routing_key=k", `?a=1&routing_key=${"k".repeat(64)}`].map(missing)).toEqual([false, false]);
    const wrong = ["", "?routing_key", "?routing_key=", "?Routing_Key=k", `?routing_key=${"k".repeat(65)}`];
    expect([...wrong, "?routing_key=k&routing_key=k"].map(missing)).toEqual(Array(6).fill(true));
    expect(missingRoutingKey("not a URL")).toBe(true);
  });
});

describe("limits, for any signals", () => {
  const word = fc.oneof(
    fc.string({ unit: "binary", maxLength: 300 }),
    fc
      .array(fc.constantFrom("<", "&", "*", "\\", "\uD83D", "😀", "\n", "\u202E", "a"), { maxLength: 600 })
      .map((c) => c.join("")),
  );
  const signal: fc.Arbitrary<ScanSignal> = fc.record({
    domain: word,
    type: word,
    confidence: fc.double({ min: 0, max: 1, noNaN: true }),
    weight: fc.double({ noNaN: true, noDefaultInfinity: true }),
  });
  const message = fc.array(signal, { maxLength: 100, size: "max" }).map((signals) => ({ ...red, signals }));

  test("all four stay within what the receiver accepts", () => {
    const within = (scan: ScanMessage) => {
      const slack = render("slack", scan).json.attachments[0].blocks[1].text.text;
      expect(slack.length).toBeLessThanOrEqual(3000);
      const [embed] = render("discord", scan).json.embeds;
      const lengths = embed.fields.map((field: { value: string }) => field.value.length);
      expect(Math.max(...lengths)).toBeLessThanOrEqual(1024);
      expect(strings(embed).join("").length).toBeLessThanOrEqual(6000);
      expect(Buffer.byteLength(render("teams", scan).text)).toBeLessThan(28 * 1024);
      const pagerduty = render("pagerduty", scan);
      expect(pagerduty.json.payload.summary.length).toBeLessThanOrEqual(1024);
      expect(Buffer.byteLength(pagerduty.text)).toBeLessThan(512 * 1024);
    };
    fc.assert(fc.property(message, within), { numRuns: 100, interruptAfterTimeLimit: 1500 });
  });
});
