import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { dedupKey } from "../../src/delivery/formats/dedup-key.ts";
import { splitRoutingKey } from "../../src/delivery/formats/pagerduty.ts";
import { renderRequest, resolveTest } from "../../src/delivery/formats/render.ts";
import type { ScanMessage } from "../../src/delivery/formats/scan-message.ts";
import { missingRoutingKey } from "../../src/formats.ts";
import {
  anySignal,
  EVENT_ID,
  green,
  hostile,
  KEY,
  ORGANIZATION_ID,
  red,
  targetOf,
} from "../support/scan-samples.ts";

const input = (message: ScanMessage, eventId = EVENT_ID, url?: string) => ({
  ...targetOf("pagerduty", url),
  eventId,
  body: JSON.stringify(message),
});

function render(...args: Parameters<typeof input>) {
  const { url, body } = renderRequest(input(...args));
  return { url, json: JSON.parse(body) };
}

const keyOf = (changes: Partial<ScanMessage>, organizationId: string | null = ORGANIZATION_ID) =>
  dedupKey({ ...red, ...changes }, EVENT_ID, organizationId);

describe("the event", () => {
  test("names the host that the daemon runs on", () => {
    expect(render(red).json.payload.source).toBe("vm7");
  });

  test("rates red critical, yellow warning and green info", () => {
    const severity = (message: ScanMessage) => render(message).json.payload.severity;
    expect([red, hostile, green].map(severity)).toEqual(["critical", "warning", "info"]);
  });
});

describe("the routing key", () => {
  const at = (query: string) => `https://pd.test/v2/enqueue${query}`;

  test("goes from the URL to the body; the other parameters stay", () => {
    const { url, json } = render(red, EVENT_ID, at(`?a=1&routing_key=${KEY}&b=2`));
    expect(url).toBe(at("?a=1&b=2"));
    expect(render(red).url).toBe("https://events.pagerduty.com/v2/enqueue");
    expect(json).toMatchObject({ routing_key: KEY, event_action: "trigger" });
  });

  test.each([
    ["?a=b%20c&routing_key=KEY&d=e%2Bf+g%2f", "?a=b%20c&d=e%2Bf+g%2f"],
    ["?routing%5Fkey=KEY&a", "?a"],
    ["?a=%zz&routing_key=KEY&&b==&c=%C3%A9~!()*", "?a=%zz&&b==&c=%C3%A9~!()*"],
    ["?routing_key=KEY&?routing_key=1", "??routing_key=1"],
    ["?routing_key=KEY", ""],
  ])("of the query %s goes %s, as it was written", (query, rest) => {
    const url = `https://pd.test/x%20y${query.replace("KEY", KEY)}`;
    expect(splitRoutingKey(url)).toEqual({ url: `https://pd.test/x%20y${rest}`, routingKey: KEY });
  });

  test("whatever the rest of the query is", () => {
    const pairs = fc.array(fc.webQueryParameters(), { maxLength: 3 });
    fc.assert(
      fc.property(pairs, pairs, (before, after) => {
        const query = [...before, ...after].join("&");
        const { search } = new URL(at(`?${query}`));
        const kept = splitRoutingKey(at(`?${[...before, `routing_key=${KEY}`, ...after].join("&")}`)).url;
        expect(new URL(kept).search).toBe(search);
      }),
      { numRuns: 200 },
    );
  });

  test("must be in the URL once, with 32 characters", () => {
    const missing = (query: string) => missingRoutingKey(at(query));
    expect([`?routing_key=${KEY}`, `?a=1&routing_key=${"k".repeat(32)}`].map(missing)).toEqual([
      false,
      false,
    ]);
    const lengths = [1, 31, 33, 64].map((length) => `?routing_key=${"k".repeat(length)}`);
    const wrong = ["", "?routing_key", "?routing_key=", `?Routing_Key=${KEY}`, ...lengths];
    expect(wrong.filter((query) => !missing(query))).toEqual([]);
    expect(missing(`?routing_key=${KEY}&routing_key=${KEY}`)).toBe(true);
    expect(missingRoutingKey("not a URL")).toBe(true);
  });
});

describe("dedup_key", () => {
  const [first, second] = red.signals as [ScanMessage["signals"][0], ScanMessage["signals"][0]];

  test("is the event's own function: a retry and a later event of the kind have the same", () => {
    const dedup = (message: ScanMessage, eventId: string) => render(message, eventId).json.dedup_key;
    const later = { ...red, risk_score: 99, latency_ms: 1, timestamp: "2026-01-15T10:59:59.999Z" };
    expect(dedup(red, "one")).toBe(dedup(red, "one"));
    expect(dedup(later, "two")).toBe(dedup(red, "one"));
    expect(dedup(red, "one")).toMatch(/^[0-9a-f]{64}$/);
  });

  test("does not depend on order, repeats, confidence or weight of signals, nor on how the time is written", () => {
    const many = [second, { ...first, confidence: 0.1, weight: 1 }, second, first];
    expect(keyOf({ signals: many })).toBe(keyOf({ signals: [first, second] }));
    expect(keyOf({ timestamp: "2026-01-15T12:30:00+02:00" })).toBe(keyOf({}));
  });

  test.each<[string, Partial<ScanMessage>]>([
    ["tier", { tier: "yellow" }],
    ["action", { action: "flag" }],
    ["hour", { timestamp: "2026-01-15T11:00:00.000Z" }],
    ["day", { timestamp: "2026-01-16T10:00:00.000Z" }],
    ["kinds of signals", { signals: [first] }],
    ["no signals", { signals: [] }],
  ])("differs by %s", (_, changes) => {
    expect(keyOf(changes)).not.toBe(keyOf({}));
  });

  test("differs by organization, and where domain and type only read alike together", () => {
    expect(keyOf({}, "another")).not.toBe(keyOf({}));
    const kind = (domain: string, type: string) => keyOf({ signals: [{ ...first, domain, type }] });
    expect(kind("a/b", "c")).not.toBe(kind("a", "b/c"));
    expect(kind('a","b', "c")).not.toBe(kind("a", 'b","c'));
  });

  test("is the same for any signals in any order, and within 255 characters", () => {
    const shuffled = fc
      .array(anySignal, { maxLength: 20 })
      .chain((signals) =>
        fc.tuple(fc.constant(signals), fc.shuffledSubarray(signals, { minLength: signals.length })),
      );
    fc.assert(
      fc.property(shuffled, ([signals, other]) => {
        expect(keyOf({ signals: other })).toBe(keyOf({ signals }));
        expect(keyOf({ signals }).length).toBeLessThanOrEqual(255);
      }),
      { numRuns: 50 },
    );
  });

  test("of a time that is none is still the same at each retry", () => {
    expect(keyOf({ timestamp: "2026-W03-4" })).toBe(keyOf({ timestamp: "2026-W03-4" }));
  });
});

describe("a test message", () => {
  test("has a dedup_key of its own, and is resolved by it, with the same routing key at the same URL", () => {
    const [one, two] = ["one", "two"].map((eventId) => render(green, eventId));
    expect(one?.json.dedup_key).not.toBe(two?.json.dedup_key);
    const { url, body } = resolveTest(input(green, "one"));
    expect(url).toBe(one?.url as string);
    expect(JSON.parse(body)).toStrictEqual({
      routing_key: KEY,
      event_action: "resolve",
      dedup_key: one?.json.dedup_key,
    });
  });
});
