import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AppError } from "../../src/errors.ts";
import { createLineDecoder } from "../../src/ingest/decode-line.ts";
import { amid } from "./amid.ts";

const decodeLine = createLineDecoder();

const RECEIVED_AT = Date.UTC(2026, 0, 15, 10);
const KEYS = ["event", "tier", "action", "risk_score", "signals", "latency_ms", "timestamp"];

/** Any text at all, lone surrogates and control characters among it. */
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.array(fc.nat(0xffff), { maxLength: 20 }).map((units) => String.fromCharCode(...units)),
);
const signal = fc.record({
  domain: text,
  type: text,
  confidence: fc.double({ min: 0, max: 1, noNaN: true }),
  weight: fc.double({ noNaN: true, noDefaultInfinity: true }),
});
const event = fc.record(
  {
    tier: fc.constantFrom("green", "yellow", "red"),
    action: fc.constantFrom("allow", "flag", "block"),
    risk_score: fc.double({ min: 0, max: 100, noNaN: true }),
    signals: fc.array(signal, { maxLength: 5 }),
    latency_ms: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
    timestamp: fc
      .date({ min: new Date("0001-01-01"), max: new Date("9999-12-31"), noInvalidDate: true })
      .map((date) => date.toISOString()),
    prompt: fc.jsonValue(),
  },
  { requiredKeys: ["tier", "action", "risk_score"] },
);

describe("decoding a line", () => {
  test("keeps every valid event's fields exactly, and nothing but the documented ones", () => {
    fc.assert(
      fc.property(event, (fields) => {
        const { body } = decodeLine(amid(Buffer.from(JSON.stringify(fields))), RECEIVED_AT);
        const shown = JSON.parse(body);
        expect(Object.keys(shown)).toEqual(KEYS);
        const { prompt: _prompt, ...kept } = JSON.parse(JSON.stringify(fields));
        expect(shown).toMatchObject(kept);
        // Byte for byte what JSON.stringify would write: no field can break out of its quotes.
        expect(body).toBe(JSON.stringify(shown));
      }),
      { numRuns: 500 },
    );
  });

  test("answers any JSON value and any bytes with an event or with a documented error, nothing else", () => {
    const lines = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      fc.json().map((json) => Buffer.from(json)),
      fc
        .object({
          key: fc.constantFrom("tier", "action", "risk_score", "signals", "id", "timestamp", "__proto__"),
        })
        .map((value) => Buffer.from(JSON.stringify(value))),
    );
    fc.assert(
      fc.property(lines, (line) => {
        const echoed = line.length > 8 ? line.toString("latin1") : null;
        try {
          expect(Object.keys(JSON.parse(decodeLine(amid(line), RECEIVED_AT).body))).toEqual(KEYS);
        } catch (error) {
          expect(error).toBeInstanceOf(AppError);
          expect((error as AppError).code).toBe("VALIDATION_ERROR");
          if (echoed) expect((error as AppError).message).not.toContain(echoed);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
