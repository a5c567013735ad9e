import { describe, expect, test } from "bun:test";
import { compileFilter, type FilteredScan, lazily, type WebhookFilter } from "../src/webhook-filter.ts";

const scan = (fields: Partial<FilteredScan> = {}): FilteredScan => ({
  action: "flag",
  risk_score: 60,
  signals: [{ domain: "pii" }, { domain: "Größe" }],
  ...fields,
});

describe("a filter", () => {
  test.each<[string, WebhookFilter, Partial<FilteredScan>, boolean]>([
    ["without parts passes everything", {}, {}, true],
    ["by score passes the score itself", { min_risk_score: 60 }, {}, true],
    ["by score passes no less", { min_risk_score: 60 }, { risk_score: 59.99 }, false],
    ["by score 0 passes 0", { min_risk_score: 0 }, { risk_score: 0 }, true],
    ["by action passes one that is named", { actions: ["block", "flag"] }, {}, true],
    ["by action passes no other", { actions: ["block"] }, {}, false],
    ["by domain passes when a signal has it", { domains: ["secrets", "pii"] }, {}, true],
    ["by domain compares without case", { domains: ["PII"] }, {}, true],
    ["by domain compares letters beyond ASCII without case", { domains: ["GRÖSSE"] }, {}, true],
    ["by domain passes no other", { domains: ["pi", "piis", ""] }, {}, false],
    ["by domain passes nothing without signals", { domains: ["pii"] }, { signals: [] }, false],
    [
      "of several parts passes what passes all",
      { min_risk_score: 10, actions: ["flag"], domains: ["pii"] },
      {},
      true,
    ],
    ["of several parts passes nothing that fails one", { min_risk_score: 61, actions: ["flag"] }, {}, false],
  ])("%s", (_what, filter, fields, passes) => {
    expect(compileFilter(filter)(scan(fields))).toBe(passes);
  });
});

test("a payload is read once, and only when it is asked for", () => {
  expect(lazily("no JSON")).toBeFunction();
  const read = lazily(JSON.stringify(scan()));
  expect(read()).toEqual(scan());
  expect(read()).toBe(read());
});
