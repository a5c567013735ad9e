import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import {
  MAX_GROUP,
  type RenderEvent,
  renderGroup,
  renderRequest,
} from "../../src/delivery/formats/render.ts";
import type { ScanMessage, ScanSignal } from "../../src/delivery/formats/scan-message.ts";
import { isGroupable, WEBHOOK_FORMATS, type WebhookFormat } from "../../src/formats.ts";
import {
  anySignal,
  EVENT_ID,
  HOSTILE_WORDS,
  hostile,
  red,
  strings,
  targetOf,
} from "../support/scan-samples.ts";

const CHATS = WEBHOOK_FORMATS.filter(isGroupable);
const START = Date.parse("2026-01-15T10:00:00Z");

function eventsOf(scans: readonly ScanMessage[]): RenderEvent[] {
  return scans.map((scan, index) => ({
    eventId: `${EVENT_ID.slice(0, -4)}${index.toString(16).padStart(4, "0")}`,
    body: JSON.stringify(scan),
  }));
}

function render(format: WebhookFormat, scans: readonly ScanMessage[]) {
  const { body } = renderGroup({ ...targetOf(format), events: eventsOf(scans) });
  return { text: body, json: JSON.parse(body) };
}

/** A storm of `count` events in a few minutes, of all tiers and actions; each seventh has a hostile word in it. */
function storm(count: number): ScanMessage[] {
  const kinds = ["pii/ssn", "prompt_injection/ignore_instructions", "secrets/api_key", "toxicity/insult"];
  const signalOf = (name: string, weight: number): ScanSignal => {
    const [domain = "", type = ""] = name.split("/");
    return { domain, type, confidence: 0.9, weight };
  };
  return Array.from({ length: count }, (_, i): ScanMessage => {
    const tier = i % 5 < 3 ? "red" : i % 5 === 3 ? "yellow" : "green";
    const word = HOSTILE_WORDS[Math.floor(i / 7) % HOSTILE_WORDS.length] as string;
    return {
      event: `${tier}_tier`,
      tier,
      action: tier === "green" ? "allow" : i % 4 === 0 ? "flag" : i % 13 === 7 ? "allow" : "block",
      risk_score: tier === "red" ? 80 + (i % 20) : tier === "yellow" ? 40 + (i % 30) : i % 10,
      signals: [
        ...kinds.slice(0, 1 + (i % 4)).map((name, at) => signalOf(name, 10 * (at + 1))),
        ...(i % 7 === 0 ? [{ domain: word, type: word, confidence: 1, weight: 99 }] : []),
      ],
      latency_ms: 8,
      timestamp: new Date(START + i * 4_321).toISOString(),
    };
  });
}

describe("golden files (rewrite them with UPDATE_GOLDEN=1)", () => {
  const cases = { 2: [red, hostile], 60: storm(60), 100: storm(100) };
  for (const format of CHATS) {
    for (const [count, scans] of Object.entries(cases)) {
      test(`${format}-group-${count}.json is what is sent`, async () => {
        const path = fileURLToPath(new URL(`./golden/${format}-group-${count}.json`, import.meta.url));
        const { json } = render(format, scans);
        if (process.env.UPDATE_GOLDEN === "1") await Bun.write(path, `${JSON.stringify(json, null, 2)}\n`);
        expect(existsSync(path), `${path} is missing`).toBe(true);
        expect(json).toStrictEqual(await Bun.file(path).json());
      });
    }
  }
});

describe("a group", () => {
  test("of one is that event's own message, in every format", () => {
    for (const format of WEBHOOK_FORMATS) {
      const [event] = eventsOf([hostile]) as [RenderEvent];
      const one = renderRequest({ ...targetOf(format), ...event });
      expect(renderGroup({ ...targetOf(format), events: [event] })).toStrictEqual(one);
    }
  });

  test("is of 1 to 100 events, and of a chat format", () => {
    expect(MAX_GROUP).toBe(100);
    expect(() => render("slack", [])).toThrow("1 to 100 events, not 0");
    expect(() => render("slack", storm(101))).toThrow("1 to 100 events, not 101");
    expect(() => render("pagerduty", [red, red])).toThrow("a pagerduty message is about one event");
    expect(() => render("json", [red, red])).toThrow("a json message is about one event");
    expect(CHATS).toEqual(["slack", "teams", "discord"]);
  });

  test("goes where one event goes", () => {
    const discord = targetOf("discord", "https://discord.com/api/webhooks/1/t?thread_id=%20");
    expect(renderGroup({ ...discord, events: eventsOf([red, red]) }).url).toBe(`${discord.url}&wait=true`);
  });

  test("says what, how bad, how many and since when in the headline", () => {
    const headlineOf = (scans: ScanMessage[]) => render("slack", scans).json.text;
    expect(headlineOf(storm(60))).toBe(
      "60 events within 4 min 15 s: 36 red, 12 yellow, 12 green, highest risk score 97",
    );
    expect(headlineOf([red, red])).toBe("2 events within 1 s: 2 red, highest risk score 85");
    const times = (...timestamps: string[]) =>
      headlineOf(timestamps.map((timestamp) => ({ ...red, timestamp })));
    expect(times("2026-01-15T10:00:00Z", "2026-01-17T13:59:59Z")).toStartWith("2 events within 2 d 3 h:");
    expect(times("2026-01-15T12:00:00+02:00", "2026-01-15T10:30:00Z")).toStartWith("2 events within 30 min:");
    expect(times("none", "2026-W03-4")).toBe("2 events: 2 red, highest risk score 85");
  });

  test("counts by tier and action in each format", () => {
    const scans: ScanMessage[] = [red, { ...red, action: "allow" }, red, hostile];
    const facts = {
      slack: (json: ReturnType<typeof JSON.parse>) => strings(json.attachments[0].blocks[0]),
      teams: (json: ReturnType<typeof JSON.parse>) => strings(json.attachments[0].content.body[1]),
      discord: (json: ReturnType<typeof JSON.parse>) => strings(json.embeds[0].fields),
    };
    for (const format of CHATS) {
      const text = facts[format](render(format, scans).json).join("\n");
      expect(text).toContain("Red tier (3)");
      expect(text).toContain("1 allow, 2 block");
      expect(text).toContain("Yellow tier (1)");
      expect(text).not.toContain("Green");
    }
  });

  test("lists the gravest first: tier, then risk score, then what got through; each with its id", () => {
    const scan = (tier: ScanMessage["tier"], action: ScanMessage["action"], risk_score: number) => ({
      ...red,
      tier,
      action,
      risk_score,
    });
    const scans = [
      scan("yellow", "allow", 99),
      scan("red", "block", 80),
      scan("red", "block", 90),
      scan("red", "allow", 80),
    ];
    const ids = eventsOf(scans).map(({ eventId }) => eventId);
    for (const format of CHATS) {
      const { text } = render(format, scans);
      const places = [2, 3, 1, 0].map((index) => text.indexOf(ids[index] as string));
      expect(places.every((place) => place > 0)).toBe(true);
      expect(places.toSorted((a, b) => a - b)).toEqual(places);
    }
  });

  test("counts a kind of signals once an event, most frequent first, and says how many are left out", () => {
    const signal = (domain: string) => ({ domain, type: "x", confidence: 1, weight: 1 });
    const words = Array.from({ length: 13 }, (_, index) => `d${index}`);
    const scans = [
      { ...red, signals: words.map(signal) },
      { ...red, signals: [signal("d5"), signal("d5")] },
    ];
    const text = render("slack", scans).json.attachments[0].blocks[1].text.text;
    expect(text).toStartWith("Signals, most frequent first\n• d5 / x (2 events)\n• d0 / x (1 event)\n");
    expect(text).toEndWith("and 3 more");
  });

  test("names an event's weightiest signal", () => {
    const text = render("slack", [red, { ...red, signals: [] }]).json.attachments[0].blocks[2].text.text;
    expect(text).toContain("pii / ssn and 3 more");
    expect(text).toContain("no signals");
  });

  test("has scanner words escaped as in a message about one event", () => {
    for (const format of CHATS) {
      const { json, text } = render(format, [hostile, hostile]);
      expect(text).not.toMatch(/https?:\/\/evil/);
      for (const line of strings(json)) {
        expect(line.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        expect(line.isWellFormed()).toBe(true);
      }
    }
    const slack = render("slack", [hostile, hostile]).json;
    expect(
      strings([slack.text, slack.attachments[0].blocks[0], slack.attachments[0].blocks[3]]).join(),
    ).not.toMatch(/channel|evil/);
    for (const block of slack.attachments[0].blocks.slice(1, 3))
      expect(block.text).toMatchObject({ type: "plain_text", emoji: false });
    const { allowed_mentions: mentions, embeds } = render("discord", [hostile, hostile]).json;
    expect(mentions).toEqual({ parse: [] });
    expect(embeds[1].description).toContain("\\<!channel\\> \\<\\@U123\\>");
    const [card] = render("teams", [hostile, hostile]).json.attachments;
    const runs = card.content.body.filter(({ type }: { type: string }) => type === "RichTextBlock");
    const others = card.content.body.filter(({ type }: { type: string }) => type !== "RichTextBlock");
    expect(strings(runs).join()).toContain("‹at›All‹/at›");
    expect(strings(others).join()).not.toMatch(/evil|‹at›|channel/);
  });
});

describe("limits, for any 2 to 100 events", () => {
  const scan: fc.Arbitrary<ScanMessage> = fc.record({
    event: fc.constant("red_tier"),
    tier: fc.constantFrom("red", "yellow", "green"),
    action: fc.constantFrom("allow", "flag", "block"),
    risk_score: fc.double({ min: 0, max: 100, noNaN: true }),
    signals: fc.array(anySignal, { maxLength: 8 }),
    latency_ms: fc.constant(1),
    timestamp: fc.oneof(
      fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
      fc.constantFrom("none", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"),
    ),
  });
  // The longest that plain words become in a format, and many kinds of them.
  const worst = (character: string): ScanMessage[] =>
    Array.from({ length: 100 }, (_, index) => {
      const domain = `${String(index).padStart(3, "0")}${character.repeat(400)}`;
      const signals = Array.from({ length: 100 }, () => ({ domain, type: domain, confidence: 1, weight: 1 }));
      return {
        ...red,
        risk_score: 99.999,
        signals,
        timestamp: new Date(START + index * 8.64e10).toISOString(),
      };
    });

  const within = (scans: ScanMessage[]): void => {
    const slack = render("slack", scans).json;
    expect(slack.text.length).toBeLessThanOrEqual(150);
    const { blocks } = slack.attachments[0];
    expect(blocks.length).toBeLessThanOrEqual(50);
    for (const { text, fields } of blocks) {
      expect(text?.text.length ?? 0).toBeLessThanOrEqual(3000);
      expect(fields?.length ?? 0).toBeLessThanOrEqual(10);
      for (const field of fields ?? []) expect(field.text.length).toBeLessThanOrEqual(2000);
    }
    const { embeds } = render("discord", scans).json;
    expect(embeds.length).toBeLessThanOrEqual(10);
    let all = 0;
    for (const { title, description, fields, footer } of embeds) {
      expect(title.length).toBeLessThanOrEqual(256);
      expect(description?.length ?? 1).toBeWithin(1, 4097);
      expect(fields?.length ?? 0).toBeLessThanOrEqual(25);
      for (const { name, value } of fields ?? []) {
        expect(name.length).toBeWithin(1, 257);
        expect(value.length).toBeWithin(1, 1025);
      }
      all += strings([title, description, footer, fields]).join("").length;
    }
    expect(all).toBeLessThanOrEqual(6000);
    expect(Buffer.byteLength(render("teams", scans).text)).toBeLessThan(20_000);
  };

  test("every format stays within what its service accepts", () => {
    const scans = fc.array(scan, { minLength: 2, maxLength: 100, size: "max" });
    fc.assert(fc.property(scans, within), { numRuns: 100, interruptAfterTimeLimit: 3000 });
  });

  test.each(["&", "<", "*", "\\", '"', "{", "é", "日", "😀"])(
    "also when all words are of %p",
    (character) => {
      within(worst(character));
    },
  );
});
