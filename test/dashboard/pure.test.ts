import { describe, expect, test } from "bun:test";
import type { Delivery, DeliveryDetail, Outcome, Webhook } from "../../src/client/index.ts";
import {
  type AttemptMade,
  afterAttempts,
  afterDeliveries,
  afterOutcomes,
} from "../../src/dashboard/outcomes.ts";
import { curlCommand, isKnown, requestOf } from "../../src/dashboard/request-text.ts";
import { stateOf, waitsUntil } from "../../src/dashboard/state.ts";
import { changesOf, draftOf, EMPTY_DRAFT } from "../../src/dashboard/webhook-draft.ts";
import { fromNow, nameOf, outcomeOf } from "../../src/dashboard/words.ts";
import { renderRequest } from "../../src/delivery/formats/render.ts";

const NOW = Date.parse("2026-01-15T10:00:00.000Z");
const iso = (milliseconds: number): string => new Date(milliseconds).toISOString();

const webhook: Webhook = {
  id: "w1",
  url: "https://hooks.example.com/a",
  events: ["red_tier"],
  format: "json",
  enabled: true,
  failure_count: 0,
  last_triggered_at: null,
  created_at: iso(NOW),
};
const delivery: Delivery = {
  id: "019bc0f6-5c00-7000-9d3a-52c8f1d7a460",
  webhook_id: "w1",
  event_id: "e1",
  event: "red_tier",
  status: "pending",
  attempt_count: 1,
  next_attempt_at: iso(NOW + 60_000),
  last_status: 429,
  last_error: "http_status",
  created_at: iso(NOW),
  finished_at: null,
};
const attempt = (fields: Partial<AttemptMade> = {}): AttemptMade => ({
  delivery_id: delivery.id,
  event_id: "e1",
  webhook_id: "w1",
  number: 1,
  status: 200,
  error: null,
  detail: null,
  duration_ms: 1,
  ...fields,
});

describe("a webhook's state", () => {
  test.each<[string, Partial<Webhook>, number | null, string]>([
    ["healthy", {}, null, "healthy"],
    ["failing", { failure_count: 2 }, null, "failing"],
    ["waiting", {}, NOW + 1, "waiting"],
    ["healthy again once the time has come", {}, NOW, "healthy"],
    ["failing, which is graver than waiting", { failure_count: 1 }, NOW + 1, "failing"],
    [
      "disabled by the daemon",
      { enabled: false, disabled_reason: "gone", failure_count: 3 },
      null,
      "disabled",
    ],
    ["turned off by its owner", { enabled: false, failure_count: 3 }, null, "off"],
  ])("%s", (_what, fields, waitingUntil, name) => {
    expect(stateOf({ ...webhook, ...fields }, { latest: null, waitingUntil }, NOW).name).toBe(name as never);
  });

  test("is waiting for the earliest time of a pending delivery that was answered 429", () => {
    expect(waitsUntil([delivery, { ...delivery, next_attempt_at: iso(NOW + 5) }], NOW)).toBe(NOW + 5);
    expect(waitsUntil([{ ...delivery, last_status: 500 }], NOW)).toBeNull();
    expect(waitsUntil([{ ...delivery, next_attempt_at: iso(NOW) }], NOW)).toBeNull();
  });
});

describe("what the stream tells", () => {
  test("counts failures in a row: a success ends them, a 429 is none", () => {
    const failed = attempt({ status: 500, error: "http_status" });
    const asked = attempt({ status: 429, error: "http_status" });
    const other = { ...webhook, id: "w2" };
    const after = (...attempts: AttemptMade[]) => afterAttempts([webhook, other], attempts, NOW);
    expect(after(failed, failed, asked)[0]?.failure_count).toBe(2);
    expect(after(failed, attempt(), failed)[0]?.failure_count).toBe(1);
    expect(after(failed)[0]?.last_triggered_at).toBe(iso(NOW));
    expect(after(failed)[1]).toBe(other);
  });

  test("adds to the present step of a chart, which moves on with the time", () => {
    const zero = { attempts: 0, delivered: 0, failed: 0, p50_ms: null, p99_ms: null };
    const points = [
      { at: iso(NOW - 60_000), ...zero },
      { at: iso(NOW), ...zero },
    ];
    const end = (status: "delivered" | "failed", webhook_id = "w1"): Outcome => ({
      type: "delivery",
      data: { id: "d", event_id: "e", webhook_id, attempt_count: 1, status },
    });
    const made: Outcome = { type: "attempt", data: attempt() };
    const outcomes = [made, end("delivered"), end("failed"), end("delivered", "w2")];
    expect(afterOutcomes(points, 60, outcomes, NOW + 1).at(-1)).toMatchObject({
      attempts: 1,
      delivered: 2,
      failed: 1,
    });
    expect(afterOutcomes(points, 60, outcomes, NOW + 1, "w1").at(-1)).toMatchObject({
      delivered: 1,
      failed: 1,
    });
    const later = afterOutcomes(points, 60, outcomes, NOW + 120_000);
    expect(later.map(({ at, delivered }) => [at, delivered])).toEqual([
      [iso(NOW + 60_000), 0],
      [iso(NOW + 120_000), 2],
    ]);
  });

  test("puts new deliveries on top, changes those that are there, and keeps to the filter and the page", () => {
    const made = (id: string, fields: Partial<AttemptMade> = {}): Outcome => ({
      type: "attempt",
      data: { ...attempt({ delivery_id: id, event_id: `e-${id}`, ...fields }), duration_ms: 1 },
    });
    const ended = (id: string): Outcome => ({
      type: "delivery",
      data: { id, event_id: `e-${id}`, webhook_id: "w1", attempt_count: 1, status: "delivered" },
    });
    const newer = "019bc0f6-5d00-7000-9d3a-52c8f1d7a460";
    const event: Outcome = {
      type: "event",
      data: { id: `e-${newer}`, external_id: null, event: "green_tier", deliveries: 1 },
    };
    const outcomes = [
      event,
      made(newer),
      ended(newer),
      made(delivery.id, { status: 503, error: "http_status" }),
    ];
    const about = { webhookId: "w1", status: undefined, limit: 2, now: NOW };
    const rows = afterDeliveries([delivery], outcomes, about);
    expect(rows.map(({ id, status, event, last_status }) => [id, status, event, last_status])).toEqual([
      [newer, "delivered", "green_tier", 200],
      [delivery.id, "pending", "red_tier", 503],
    ]);
    expect(rows[0]?.created_at).toBe(iso(0x019bc0f65d00));
    expect(afterDeliveries([delivery], outcomes, { ...about, limit: 1 })).toHaveLength(1);
    expect(
      afterDeliveries([delivery], outcomes, { ...about, status: "pending" }).map(({ id }) => id),
    ).toEqual([delivery.id]);
    expect(afterDeliveries([delivery], outcomes, { ...about, webhookId: "w2" })).toEqual([delivery]);
  });
});

describe("the form", () => {
  test("sends only what was changed, and null for what was emptied", () => {
    const before = draftOf({
      ...webhook,
      name: "a",
      filter: { min_risk_score: 10 },
      headers: { "x-a": "***" },
    });
    expect(changesOf(before, before)).toEqual({});
    const after = {
      ...before,
      name: " ",
      minRiskScore: "",
      domains: "pii, ,secrets",
      headers: "x-a: ***\nx-b: 1:2",
    };
    expect(changesOf(after, before)).toEqual({
      name: null,
      filter: { domains: ["pii", "secrets"] },
      headers: { "x-a": "***", "x-b": "1:2" },
    });
    expect(changesOf({ ...before, minRiskScore: "" }, before)).toEqual({ filter: null });
  });

  test("leaves the choice of grouping out where there is none", () => {
    expect(changesOf({ ...EMPTY_DRAFT, format: "slack", group: "false" }, EMPTY_DRAFT)).toMatchObject({
      group: false,
    });
    expect(changesOf({ ...EMPTY_DRAFT, format: "json", group: "false" }, EMPTY_DRAFT)).toEqual({});
  });
});

test("the command for curl is one word for each argument, whatever is in it", () => {
  const detail = {
    ...delivery,
    payload: { signals: [{ domain: 'it\'s $(touch /tmp/x) `y` \\ "z"' }] },
    attempts: [],
  } as unknown as DeliveryDetail;
  const command = curlCommand(requestOf(detail, { ...webhook, url: "https://e.com/?a='b" }, NOW));
  const shown = Bun.spawnSync([
    "sh",
    "-c",
    `curl() { for word; do printf '%s\\0' "$word"; done; }; ${command}`,
  ]);
  const words = shown.stdout.toString().split("\0");
  expect(words).toContain("https://e.com/?a='b");
  expect(words).toContain(JSON.stringify(detail.payload));
  expect(words).toContain("webhook-timestamp: 1768471200");
});

describe("the request as it was sent", () => {
  const payload = {
    event: "red_tier",
    tier: "red",
    action: "block",
    risk_score: 85,
    signals: [{ domain: "pii", type: "ssn", confidence: 0.98, weight: 50 }],
    latency_ms: 8,
    timestamp: iso(NOW),
  } as const;
  const detail = { ...delivery, payload: { ...payload, signals: [...payload.signals] }, attempts: [] };

  test.each(["json", "slack", "teams", "discord"] as const)("is what the daemon writes for %s", (format) => {
    const url = "https://hooks.example.com/a";
    const body = JSON.stringify(payload);
    const sent = renderRequest({ format, url, organizationId: "o1", source: "host", eventId: "e1", body });
    expect(requestOf(detail, { ...webhook, format, url }, NOW)).toMatchObject(sent);
    expect(isKnown(format)).toBe(true);
  });

  test("is not claimed to be known for PagerDuty", () => {
    expect(isKnown("pagerduty")).toBe(false);
  });
});

test("names, times and outcomes are said for people", () => {
  expect(nameOf(webhook)).toBe("hooks.example.com");
  expect(nameOf({ ...webhook, name: "archive" })).toBe("archive");
  expect([-90_061_000, -59_000, 0, 61_000].map((offset) => fromNow(NOW + offset, NOW))).toEqual([
    "1 d ago",
    "59 s ago",
    "now",
    "in 1 min",
  ]);
  expect(outcomeOf({ last_status: 500, last_error: "http_status" })).toBe("HTTP 500");
  expect(outcomeOf({ last_status: null, last_error: "tls_failed" })).toBe("tls failed");
  expect(outcomeOf({ last_status: null, last_error: null })).toBe("not tried yet");
});
