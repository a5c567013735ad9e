import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  createIdFormat,
  createIdSource,
  idAt,
  isUuid,
  newInstallationTag,
  newRequestId,
  timeOfId,
} from "../src/ids.ts";

const tag = newInstallationTag();
const { format, write, parse } = createIdFormat(tag);
const ids = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const times = fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2089, 0, 1) });

describe("ids", () => {
  test("come back from the text that the outside sees", () => {
    fc.assert(fc.property(ids, (id) => parse(format(id)) === id));
  });

  test("are the same as bytes", () => {
    fc.assert(
      fc.property(ids, fc.nat(10), (id, at) => {
        const bytes = Buffer.alloc(60, "-");
        write(id, bytes, at);
        expect(bytes.toString()).toBe("-".repeat(at) + format(id) + "-".repeat(60 - 36 - at));
      }),
    );
  });

  test("look like UUIDs of version 7, and sort as text as they do as numbers", () => {
    fc.assert(
      fc.property(ids, ids, (a, b) => {
        expect(format(a)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        expect(isUuid(format(a))).toBe(true);
        expect(Math.sign(format(a).localeCompare(format(b)))).toBe(Math.sign(a - b));
      }),
    );
  });

  test("of others are UUIDs of any version, and the two that are fixed", () => {
    const all = ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-FFFFFFFFFFFF"];
    for (const text of [...all, crypto.randomUUID(), Bun.randomUUIDv7()])
      expect(isUuid(text), text).toBe(true);
    for (const text of ["", "00000000-0000-0000-0000-00000000000", "00000000-0000-9000-8000-000000000000"])
      expect(isUuid(text), text).toBe(false);
  });

  test("hold the time that they were made at", () => {
    fc.assert(fc.property(times, (time) => timeOfId(idAt(time)) === time));
  });

  test("text of another installation, or no id at all, is nobody's id", () => {
    const other = createIdFormat(newInstallationTag());
    fc.assert(fc.property(ids, (id) => parse(other.format(id)) === null));
    fc.assert(fc.property(fc.string(), (text) => parse(text) === null));
    fc.assert(fc.property(fc.uuid(), (text) => parse(text) === null));
    expect(parse(format(5).toUpperCase())).toBeNull();
    expect(parse(`ffffffff-ffff-7fff-${tag.slice(0, 4)}-${tag.slice(4)}`)).toBeNull();
    expect(parse(`00000000-0000-7000-${tag.slice(0, 4)}-${tag.slice(4)}`)).toBeNull();
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
