import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { createSecretBox, sealedKeyId } from "../../src/secrets/secret-box.ts";

const box = createSecretBox(Buffer.alloc(32, 7));
const SECRET = "ab".repeat(32);

describe("the secret box", () => {
  test("opens what it sealed, whatever the text and the webhook", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.uuid(), (secret, uuid) => {
        expect(box.open(box.seal(secret, uuid), uuid)).toBe(secret);
      }),
    );
  });

  test("seals the same secret differently each time, and shows nothing of it", () => {
    const sealed = Array.from({ length: 100 }, () => box.seal(SECRET, "w").toString("hex"));
    expect(new Set(sealed).size).toBe(100);
    for (const text of sealed) expect(Buffer.from(text, "hex").includes(SECRET.slice(0, 8))).toBe(false);
  });

  test("does not open for another webhook", () => {
    expect(() => box.open(box.seal(SECRET, "one"), "other")).toThrow();
  });

  test("does not open with another key, and says which key it needs", () => {
    const other = createSecretBox(randomBytes(32));
    const sealed = other.seal(SECRET, "w");
    expect(() => box.open(sealed, "w")).toThrow("sealed with another secret key");
    expect(sealedKeyId(sealed)).toBe(other.keyId);
    expect(other.keyId).not.toBe(box.keyId);
  });

  test("does not open when any byte was changed or the end is missing", () => {
    const sealed = box.seal(SECRET, "w");
    for (let i = 0; i < sealed.length; i += 1) {
      const changed = Buffer.from(sealed);
      changed[i] = (changed[i] ?? 0) ^ 1;
      expect(() => box.open(changed, "w")).toThrow();
      expect(() => box.open(sealed.subarray(0, i), "w")).toThrow();
    }
  });

  test("derives one secret of 64 hex digits for each purpose and key", () => {
    expect(box.derive("a")).toMatch(/^[0-9a-f]{64}$/);
    expect(box.derive("a")).toBe(createSecretBox(Buffer.alloc(32, 7)).derive("a"));
    const all = [box.derive("a"), box.derive("b"), createSecretBox(randomBytes(32)).derive("a")];
    expect(new Set(all).size).toBe(3);
  });
});
