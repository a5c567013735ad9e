import { describe, expect, test } from "bun:test";
import { openHeaders, resealHeaders, sealHeaders } from "../../src/secrets/sealed-headers.ts";
import { createSecretBox } from "../../src/secrets/secret-box.ts";

const UUID = "11111111-1111-4111-8111-111111111111";
const OTHER = "22222222-2222-4222-8222-222222222222";
const HEADERS = { Authorization: "Bearer té", "X-Team": "red" };

const box = createSecretBox(Buffer.alloc(32, 1));
const next = createSecretBox(Buffer.alloc(32, 2));

describe("a webhook's header fields", () => {
  test("are sealed, their names in the open, and open as they were", () => {
    const { headers, headerNames } = sealHeaders(HEADERS, UUID, box);
    expect(headerNames).toEqual(["Authorization", "X-Team"]);
    expect(headers?.includes("Bearer")).toBe(false);
    expect(openHeaders({ headers, uuid: UUID }, box)).toEqual(HEADERS);
  });

  test("that are none take no bytes", () => {
    expect(sealHeaders({}, UUID, box)).toEqual({ headers: null, headerNames: null });
    expect(openHeaders({ headers: null, uuid: UUID }, box)).toEqual({});
    expect(resealHeaders({ headers: null, uuid: UUID }, box, next)).toBeNull();
  });

  test("open neither for another webhook nor as the webhook's secret, nor does a secret open as them", () => {
    const { headers } = sealHeaders(HEADERS, UUID, box);
    expect(() => openHeaders({ headers, uuid: OTHER }, box)).toThrow();
    expect(() => box.open(headers as Buffer, UUID)).toThrow();
    expect(() => openHeaders({ headers: box.seal("{}", UUID), uuid: UUID }, box)).toThrow();
  });

  test("open with the next key alone once they are sealed anew", () => {
    const { headers } = sealHeaders(HEADERS, UUID, box);
    const resealed = resealHeaders({ headers, uuid: UUID }, box, next);
    expect(openHeaders({ headers: resealed, uuid: UUID }, next)).toEqual(HEADERS);
    expect(() => openHeaders({ headers: resealed, uuid: UUID }, box)).toThrow("another secret key");
  });
});
