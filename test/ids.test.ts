import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  createIdSource,
  formatId,
  idAt,
  isUuid,
  newInstallationTag,
  newRequestId,
  parseId,
  timeOfId,
  writeId,
} from "../src/ids.ts";

const tag = newInstallationTag();
const ids = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const times = fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2089, 0, 1) });

describe("ids", () => {
  test("come back from the text that the outside sees", () => {
    fc.assert(fc.property(ids, (id) => parseId(formatId(id, tag), tag) === id));
  });

  test("are the same as bytes", () => {
    const other = newInstallationTag();
    fc.assert(
      fc.property(ids, fc.nat(10), fc.boolean(), (id, at, own) => {
        const bytes = Buffer.alloc(60, "-");
        writeId(id, own ? tag : other, bytes, at);
        expect(bytes.toString()).toBe(
          "-".repeat(at) + formatId(id, own ? tag : other) + "-".repeat(60 - 36 - at),
        );
      }),
    );
  });

  test("look like UUIDs of version 7, and sort as text as they do as numbers", () => {
    fc.assert(
      fc.property(ids, ids, (a, b) => {
        expect(formatId(a, tag)).toMatch(
          /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
        );
        expect(isUuid(formatId(a, tag))).toBe(true);
        expect(Math.sign(formatId(a, tag).localeCompare(formatId(b, tag)))).toBe(Math.sign(a - b));
      }),
    );
  });

  test("hold the time that they were made at", () => {
    fc.assert(fc.property(times, (time) => timeOfId(idAt(time)) === time));
  });

  test("text of another installation, or no id at all, is nobody's id", () => {
    const other = newInstallationTag();
    fc.assert(fc.property(ids, (id) => parseId(formatId(id, other), tag) === null));
    fc.assert(fc.property(fc.string(), (text) => parseId(text, tag) === null));
    fc.assert(fc.property(fc.uuid(), (text) => parseId(text, tag) === null));
    expect(parseId(formatId(5, tag).toUpperCase(), tag)).toBeNull();
    expect(parseId(`ffffffff-ffff-7fff-${tag.slice(0, 4)}-${tag.slice(4)}`, tag)).toBeNull();
    expect(parseId(`00000000-0000-7000-${tag.slice(0, 4)}-${tag.slice(4)}`, tag)).toBeNull();
  });

  test("only ever grow, whatever the clock does", () => {
    fc.assert(
      fc.property(fc.array(times, { minLength: 2 }), ids, (readings, last) => {
        const start = Math.min(last, idAt(Date.UTC(2089, 0, 1)));
        let reading = 0;
        const next = createIdSource(() => readings[reading] as number, start);
        let previous = start;
        for (reading = 0; reading < readings.length; reading += 1) {
          const id = next();
          expect(id).toBeGreaterThan(previous);
          expect(Number.isSafeInteger(id)).toBe(true);
          previous = id;
        }
      }),
    );
  });

  test("thousands in one millisecond are all different", () => {
    const next = createIdSource(() => Date.UTC(2026, 0, 1));
    expect(new Set(Array.from({ length: 10_000 }, next)).size).toBe(10_000);
  });

  test("request ids are not repeated", () => {
    expect(newRequestId()).toMatch(/^req_[0-9a-f]{24}$/);
    expect(newRequestId()).not.toBe(newRequestId());
  });
});
