import { describe, expect, test } from "bun:test";
import { AppError } from "../../src/errors.ts";
import { createLineDecoder } from "../../src/ingest/decode-line.ts";
import { createScanEventDecoder } from "../../src/ingest/scan-event.ts";
import { scan } from "../support/daemon.ts";
import { amid } from "./amid.ts";

const decodeLine = createLineDecoder();
const decodeScanEvent = createScanEventDecoder();

const RECEIVED_AT = Date.UTC(2026, 0, 15, 10, 0, 0, 123);
const UUID = "0b3b3f4e-6f0a-4c53-9a2e-5d2d4d8f5c11";

function decode(fields: Record<string, unknown>) {
  // Through JSON, as a line would come: what is undefined is left out.
  return decodeScanEvent(JSON.parse(JSON.stringify(scan(fields))), RECEIVED_AT);
}

function bodyOf(fields: Record<string, unknown>): Record<string, unknown> {
  return JSON.parse(decode(fields).body);
}

/** The message that a line is refused with. */
function refusalOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(AppError);
    expect((error as AppError).code).toBe("VALIDATION_ERROR");
    return (error as AppError).message;
  }
  throw new Error("it was taken");
}

describe("a scan event", () => {
  test("becomes the seven documented keys in their order, and nothing else of the line is kept", () => {
    const { body, ...rest } = decode({ prompt: "secret", signals: undefined, __extra: { deep: [1] } });
    expect(body).toBe(
      '{"event":"red_tier","tier":"red","action":"block","risk_score":85,"signals":[],"latency_ms":8,"timestamp":"2026-01-15T10:00:00.000Z"}',
    );
    expect(rest).toEqual({ organizationId: null, externalId: null, type: 2 });
  });

  test("keeps the four documented keys of a signal and drops the others", () => {
    const signal = { matched_text: "078-05-1120", weight: 50, confidence: 0.5, type: "ssn", domain: "pii" };
    expect(decode({ signals: [signal] }).body).toContain(
      '"signals":[{"domain":"pii","type":"ssn","confidence":0.5,"weight":50}]',
    );
  });

  test.each([
    ["green", 0],
    ["yellow", 1],
    ["red", 2],
  ])("of tier %s is of type %i", (tier, type) => {
    expect(decode({ tier })).toMatchObject({ type });
    expect(bodyOf({ tier })).toMatchObject({ event: `${tier}_tier`, tier });
  });

  test.each<[string, Record<string, unknown>, string]>([
    ["tier", { tier: "purple" }, "tier must be one of green, yellow, red"],
    ["tier", { tier: undefined }, "tier must be one of green, yellow, red"],
    ["tier", { tier: "RED" }, "tier must be one of green, yellow, red"],
    ["tier", { tier: ["red"] }, "tier must be one of green, yellow, red"],
    ["tier", { tier: "toString" }, "tier must be one of green, yellow, red"],
    ["action", { action: "deny" }, "action must be one of allow, flag, block"],
    ["action", { action: null }, "action must be one of allow, flag, block"],
    ["risk_score", { risk_score: -0.1 }, "risk_score must be a number from 0 to 100"],
    ["risk_score", { risk_score: 100.1 }, "risk_score must be a number from 0 to 100"],
    ["risk_score", { risk_score: "85" }, "risk_score must be a number from 0 to 100"],
    ["risk_score", { risk_score: undefined }, "risk_score must be a number from 0 to 100"],
    ["latency_ms", { latency_ms: -1 }, "latency_ms must be a number of 0 or more"],
    ["latency_ms", { latency_ms: "8" }, "latency_ms must be a number of 0 or more"],
    ["signals", { signals: {} }, "signals must be an array"],
    ["signals", { signals: "none" }, "signals must be an array"],
    ["signals", { signals: Array(101).fill({}) }, "signals must have at most 100 entries"],
    ["a signal", { signals: [null] }, "signals[0] must be an object"],
    ["a signal", { signals: [[]] }, "signals[0] must be an object"],
    ["a signal's domain", { signals: [{ ...signal(), domain: 1 }] }, "signals[0].domain must be a string"],
    [
      "a signal's type",
      { signals: [signal(), { ...signal(), type: null }] },
      "signals[1].type must be a string",
    ],
    [
      "a signal's confidence",
      { signals: [{ ...signal(), confidence: 1.01 }] },
      "signals[0].confidence must be a number from 0 to 1",
    ],
    [
      "a signal's confidence",
      { signals: [{ ...signal(), confidence: "1" }] },
      "signals[0].confidence must be a number from 0 to 1",
    ],
    [
      "a signal's weight",
      { signals: [{ ...signal(), weight: undefined }] },
      "signals[0].weight must be a number",
    ],
    ["organization_id", { organization_id: "default" }, "organization_id must be a UUID"],
    ["organization_id", { organization_id: 1 }, "organization_id must be a UUID"],
    ["id", { id: "" }, "id must be a string of 1 to 128 characters"],
    ["id", { id: "x".repeat(129) }, "id must be a string of 1 to 128 characters"],
    ["id", { id: 42 }, "id must be a string of 1 to 128 characters"],
    ["id", { id: "a\0b" }, "id must not contain NUL or lone surrogates"],
    ["id", { id: "a\ud800b" }, "id must not contain NUL or lone surrogates"],
  ])("is refused with a sentence that names %s: %j", (_field, fields, message) => {
    expect(refusalOf(() => decode(fields))).toBe(message);
  });

  test.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ["a score of 0", { risk_score: 0 }, { risk_score: 0 }],
    ["a score of 100", { risk_score: 100 }, { risk_score: 100 }],
    ["a score with decimals", { risk_score: 0.1 + 0.2 }, { risk_score: 0.1 + 0.2 }],
    ["no latency", { latency_ms: undefined }, { latency_ms: 0 }],
    ["a latency of null", { latency_ms: null }, { latency_ms: 0 }],
    ["a huge latency", { latency_ms: 1e300 }, { latency_ms: 1e300 }],
    [
      "a negative weight",
      { signals: [{ ...signal(), weight: -5 }] },
      { signals: [{ ...signal(), weight: -5 }] },
    ],
    ["signals of null", { signals: null }, { signals: [] }],
    ["a hundred signals", { signals: Array(100).fill(signal()) }, { signals: Array(100).fill(signal()) }],
    ["no timestamp", { timestamp: undefined }, { timestamp: "2026-01-15T10:00:00.123Z" }],
  ])("may have %s", (_what, fields, shown) => {
    expect(bodyOf(fields)).toMatchObject(shown);
  });

  test("keeps the scanner's id, counted in characters rather than in UTF-16 units", () => {
    expect(decode({ id: "scan-42" }).externalId).toBe("scan-42");
    expect(decode({ id: "😀".repeat(128) }).externalId).toBe("😀".repeat(128));
    expect(refusalOf(() => decode({ id: "😀".repeat(129) }))).toContain("128");
    expect(decode({ id: null }).externalId).toBeNull();
  });

  test("names its organization in any case", () => {
    expect(decode({ organization_id: UUID.toUpperCase() }).organizationId).toBe(UUID);
  });

  test.each([
    ["2026-01-15T10:00:00Z", "2026-01-15T10:00:00Z"],
    ["2026-01-15T10:00:00.123456789Z", "2026-01-15T10:00:00.123456789Z"],
    ["2026-01-15T10:00Z", "2026-01-15T10:00:00.000Z"],
    ["2026-01-15T24:00:00Z", "2026-01-16T00:00:00.000Z"],
    ["2026-W03-4T10:00:00Z", "2026-01-15T10:00:00.000Z"],
    ["2026-01-15T10:00:00+02:00", "2026-01-15T08:00:00.000Z"],
    ["2026-01-15T10:00:00.5-0530", "2026-01-15T15:30:00.500Z"],
    ["2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"],
  ])("of the time %s shows %s", (timestamp, shown) => {
    expect(bodyOf({ timestamp })["timestamp"]).toBe(shown);
  });

  test.each([
    "2026-01-15",
    "2026-01-15T10:00:00",
    "2026-02-29T10:00:00Z",
    "2026-13-01T10:00:00Z",
    "2026-00-01T10:00:00Z",
    "2026-01-32T10:00:00Z",
    "2026-01-15T25:00:00Z",
    "2026-01-15T10:61:00Z",
    "2026-01-15 10:00:00Z",
    "2026-01-15T10:00:00Z\n",
    '2026-01-15T10:00:00Z","x":"',
    "now",
    "",
    1_768_471_200_000,
    {},
  ])("of the time %j is refused", (timestamp) => {
    expect(refusalOf(() => decode({ timestamp }))).toStartWith("timestamp must be an ISO 8601 date and time");
  });
});

describe("a line", () => {
  test.each<[string, Buffer | null, string]>([
    ["that is empty", Buffer.from(""), "the line is empty; send one JSON object per line"],
    ["of blanks", Buffer.from(" \t\r"), "the line is empty; send one JSON object per line"],
    [
      "that is no JSON",
      Buffer.from("{tier:red}"),
      "the line is not valid JSON; send one JSON object per line",
    ],
    [
      "that is cut short",
      Buffer.from('{"tier":"red"'),
      "the line is not valid JSON; send one JSON object per line",
    ],
    ["with invalid UTF-8", Buffer.from([0x22, 0xff, 0x22]), "the line is not valid UTF-8"],
    ["with a surrogate in UTF-8", Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), "the line is not valid UTF-8"],
    ["that is an array", Buffer.from("[]"), "a line must be a JSON object"],
    ["that is null", Buffer.from("null"), "a line must be a JSON object"],
    ["that is a string", Buffer.from('"red"'), "a line must be a JSON object"],
  ])("%s is refused: %p", (_what, line, message) => {
    expect(refusalOf(() => decodeLine(amid(line), RECEIVED_AT))).toBe(message);
  });

  test("that was too long is refused with a code of its own", () => {
    expect(() => decodeLine(null, RECEIVED_AT)).toThrow(
      expect.objectContaining({
        code: "PAYLOAD_TOO_LARGE",
        message: "a line must not be longer than 256 KiB",
      }),
    );
  });

  test("may end in a carriage return", () => {
    expect(decodeLine(amid(Buffer.from(`${JSON.stringify(scan())}\r`)), RECEIVED_AT).type).toBe(2);
  });
});

function signal() {
  return { domain: "pii", type: "ssn", confidence: 0.98, weight: 50 };
}
