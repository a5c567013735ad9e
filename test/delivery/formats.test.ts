import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { renderRequest } from "../../src/delivery/formats/render.ts";
import type { ScanMessage } from "../../src/delivery/formats/scan-message.ts";
import { plainLine, shorten } from "../../src/delivery/formats/scanner-text.ts";
import { WEBHOOK_FORMATS, type WebhookFormat } from "../../src/formats.ts";
import {
  anySignal,
  EVENT_ID,
  green,
  hostile,
  red,
  strings,
  targetOf,
  URL_WITH_KEY,
} from "../support/scan-samples.ts";

const RENDERED = WEBHOOK_FORMATS.filter((format) => format !== "json");

function render(format: WebhookFormat, message: ScanMessage, url = URL_WITH_KEY) {
  const rendered = renderRequest({
    ...targetOf(format, url),
    eventId: EVENT_ID,
    body: JSON.stringify(message),
  });
  return { url: rendered.url, text: rendered.body, json: JSON.parse(rendered.body) };
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
    const url = "https://a.test/x?routing_key=1&b=%20";
    const body = '{"event" : 1 ';
    expect(renderRequest({ ...targetOf("json", url), eventId: EVENT_ID, body })).toStrictEqual({ url, body });
  });
});

describe("every rendered format", () => {
  test("gives the same bytes for the same message, so that a retry repeats the request", () => {
    for (const format of RENDERED) expect(render(format, hostile).text).toBe(render(format, hostile).text);
  });

  test("leaves the URL as it is unless the service wants something else in it", () => {
    const url = "https://a.test/x?thread_id=1&b=%20";
    for (const format of ["slack", "teams"] as const) expect(render(format, red, url).url).toBe(url);
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
  test.each([
    ["", "?wait=true"],
    ["?", "?wait=true"],
    ["?thread_id=1&b=%20+%2B'", "?thread_id=1&b=%20+%2B%27&wait=true"],
    ["?wait=true&b=1", "?wait=true&b=1"],
    ["?wait=false&b=%20", "?b=%20&wait=true"],
    ["?wait=false&wait=true", "?wait=true"],
  ])("asks for an answer once the message is stored: %p becomes %p", (query, expected) => {
    const base = "https://discord.com/api/webhooks/1/token";
    expect(render("discord", red, base + query).url).toBe(base + expected);
  });

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

describe("limits, for any signals", () => {
  const message = fc
    .array(anySignal, { maxLength: 100, size: "max" })
    .map((signals) => ({ ...red, signals }));

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
