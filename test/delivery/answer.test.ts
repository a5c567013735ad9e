import { describe, expect, test } from "bun:test";
import { type Answer, explain, type Meaning, meaningOf } from "../../src/delivery/answer.ts";
import { WEBHOOK_FORMATS, type WebhookFormat } from "../../src/formats.ts";

const NOW = Date.UTC(2026, 0, 15, 10, 0, 0);
const HOUR = 3_600_000;

function mean(format: WebhookFormat, status: number, rest: Partial<Answer> = {}): Meaning {
  return meaningOf(format, { status, retryAfter: null, resetAfter: null, body: "", ...rest }, NOW, HOUR);
}

const wait = (milliseconds: number | null): Meaning => ({ kind: "wait", milliseconds });
const rejected: Meaning = { kind: "disable", reason: "rejected" };

describe("whatever the format,", () => {
  test.each([
    [200, "delivered"],
    [299, "delivered"],
    [302, "failed"],
    [401, "failed"],
    [403, "failed"],
    [405, "failed"],
    [408, "failed"],
    [500, "failed"],
    [503, "failed"],
    [999, "failed"],
  ] as const)("%d is %s", (status, kind) => {
    for (const format of WEBHOOK_FORMATS) expect(mean(format, status)).toEqual({ kind });
  });

  test("410 is gone, a 429 asks to wait, and so does a 503 that says until when", () => {
    for (const format of WEBHOOK_FORMATS) {
      expect(mean(format, 410)).toEqual({ kind: "disable", reason: "gone" });
      expect(mean(format, 429)).toEqual(wait(null));
      expect(mean(format, 429, { retryAfter: "0" })).toEqual(wait(null));
      expect(mean(format, 429, { retryAfter: "0.65" })).toEqual(wait(650));
      expect(mean(format, 429, { retryAfter: "Thu, 15 Jan 2026 10:00:05 GMT" })).toEqual(wait(5_000));
      expect(mean(format, 429, { retryAfter: "86400" })).toEqual(wait(HOUR));
      expect(mean(format, 503, { retryAfter: "120.0" })).toEqual(wait(120_000));
      expect(mean(format, 503, { retryAfter: "soon" })).toEqual({ kind: "failed" });
      expect(mean(format, 500, { retryAfter: "5" })).toEqual({ kind: "failed" });
    }
  });
});

test.each([400, 413, 414, 415, 422, 431])("json: %d is about the event", (status) => {
  expect(mean("json", status)).toEqual({ kind: "refused" });
});

const code = (value: number) => JSON.stringify({ message: "x", code: value });

describe("what services say", () => {
  const rows: [WebhookFormat, number, Partial<Answer>, Meaning][] = [
    ["json", 404, {}, { kind: "failed" }],
    ["json", 404, { body: "no_service" }, { kind: "failed" }],
    ["slack", 404, {}, rejected],
    ["slack", 403, { body: "invalid_token" }, rejected],
    ["slack", 403, { body: "action_prohibited" }, rejected],
    ["slack", 403, { body: "no_service" }, rejected],
    ["slack", 403, { body: "other" }, { kind: "failed" }],
    ["slack", 400, { body: "invalid_payload" }, { kind: "dropped" }],
    ["slack", 400, { body: "user_not_found" }, { kind: "refused" }],
    ["slack", 413, {}, { kind: "dropped" }],
    ["slack", 500, { body: "rollup_error" }, { kind: "failed" }],
    ["discord", 404, { body: code(10_015) }, rejected],
    ["discord", 404, { body: code(10_003) }, { kind: "failed" }],
    ["discord", 404, { body: "10015" }, { kind: "failed" }],
    ["discord", 401, { body: code(50_027) }, rejected],
    ["discord", 401, { body: code(10_015) }, { kind: "failed" }],
    ["discord", 400, { body: code(50_006) }, { kind: "dropped" }],
    ["discord", 413, {}, { kind: "refused" }],
    ["pagerduty", 202, {}, { kind: "delivered" }],
    ["pagerduty", 400, {}, { kind: "dropped" }],
    ["pagerduty", 404, {}, { kind: "failed" }],
    ["teams", 400, {}, { kind: "refused" }],
    ["teams", 200, { body: "1" }, { kind: "delivered" }],
  ];
  test.each(rows)("%s %d %j", (format, status, rest, meaning) => {
    expect(mean(format, status, rest)).toEqual(meaning);
  });
});

describe("Discord's own fields tell how long to wait", () => {
  test.each([
    [{ resetAfter: "1.5", body: '{"retry_after":9}', retryAfter: "65" }, 1_500],
    [{ body: '{"retry_after":0.65,"global":false}', retryAfter: "650" }, 650],
    [{ resetAfter: "junk", body: "junk", retryAfter: "3" }, 3_000],
    [{ body: '{"retry_after":"9"}' }, null],
    [{ body: "null" }, null],
    [{ body: '{"retry_after":1e300}' }, null],
  ])("%j", (rest, milliseconds) => {
    expect(mean("discord", 429, rest)).toEqual(wait(milliseconds));
  });

  test("and nobody else's", () => {
    expect(mean("slack", 429, { resetAfter: "1.5", retryAfter: "30" })).toEqual(wait(30_000));
  });
});

describe("Teams answers 200 for what failed", () => {
  const failed = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error";
  test.each([
    [`${failed} 413 with ContextId tcid=0,server=X429`, { kind: "failed" }],
    [`${failed} 429 with ContextId tcid=0,server=X`, wait(null)],
    [`It says: ${failed}`, { kind: "delivered" }],
  ] as const)("%s", (body, meaning) => {
    expect(mean("teams", 200, { body })).toEqual(meaning);
    expect(mean("json", 200, { body })).toEqual({ kind: "delivered" });
  });

  test("and says until when in a header", () => {
    expect(mean("teams", 200, { body: `${failed} 429.`, retryAfter: "7" })).toEqual(wait(7_000));
  });
});

test("what the status does not say is explained, and nothing else", () => {
  const explained = (format: WebhookFormat, status: number, body: string) =>
    explain(format, status, mean(format, status, { body }));
  expect(explained("teams", 200, "Webhook message delivery failed")).toContain("Teams answered 200");
  expect(explained("slack", 404, "no_service")).toContain("does not exist");
  expect(explained("discord", 400, "")).toContain("for good");
  for (const status of [200, 302, 400, 410, 429, 500]) expect(explained("json", status, "")).toBeNull();
});
