import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { createSigner } from "../../src/delivery/signature.ts";

const hex64 = fc.stringMatching(/^[0-9a-f]{64}$/);
const id = fc.stringMatching(/^[0-9A-Za-z_-]{1,40}$/);

/** The check that a receiver makes, with the library that the specification publishes. */
function verify(secret: string, id: string, timestamp: number, body: string, signature: string): unknown {
  return new Webhook(secret).verify(body, {
    "webhook-id": id,
    "webhook-timestamp": String(timestamp),
    "webhook-signature": signature,
  });
}

const now = () => Math.floor(Date.now() / 1000);

test("the published vector of Standard Webhooks comes out", () => {
  const sign = createSigner(["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
  const signature = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}');
  expect(signature).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
});

describe("the standardwebhooks library", () => {
  const secret = "0123456789abcdef".repeat(4);
  const other = "fedcba9876543210".repeat(4);
  const body = '{"event":"red_tier","tier":"red","note":"é日本😀"}';

  test("verifies a signature with the secret exactly as it was returned", () => {
    const at = now();
    expect(verify(secret, "evt_1", at, body, createSigner([secret])("evt_1", at, body))).toEqual(
      JSON.parse(body),
    );
  });

  test("refuses it for another secret, id, time or body", () => {
    const at = now();
    const signature = createSigner([secret])("evt_1", at, body);
    expect(() => verify(other, "evt_1", at, body, signature)).toThrow();
    expect(() => verify(secret, "evt_2", at, body, signature)).toThrow();
    expect(() => verify(secret, "evt_1", at - 1, body, signature)).toThrow();
    expect(() => verify(secret, "evt_1", at, `${body} `, signature)).toThrow();
  });

  test("verifies with either secret while a rotated one is still valid", () => {
    const at = now();
    const signature = createSigner([secret, other])("evt_1", at, body);
    expect(signature).toMatch(/^v1,[A-Za-z0-9+/]{43}= v1,[A-Za-z0-9+/]{43}=$/);
    expect(verify(secret, "evt_1", at, body, signature)).toEqual(JSON.parse(body));
    expect(verify(other, "evt_1", at, body, signature)).toEqual(JSON.parse(body));
  });

  test("verifies what is signed for any secret, id and body", () => {
    fc.assert(
      fc.property(hex64, id, fc.json(), (anySecret, anyId, anyBody) => {
        const at = now();
        const signature = createSigner([anySecret])(anyId, at, anyBody);
        expect(() => verify(anySecret, anyId, at, anyBody, signature)).not.toThrow();
      }),
      { numRuns: 300 },
    );
  });
});

test("a signature is the HMAC of id, time and body in UTF-8, however often its signer was used", () => {
  const message = fc.tuple(id, fc.nat(), fc.string({ unit: "grapheme" }));
  fc.assert(
    fc.property(hex64, hex64, fc.array(message, { minLength: 1, maxLength: 5 }), (one, two, messages) => {
      const sign = createSigner([one, two]);
      for (const [anyId, at, body] of messages) {
        const expected = [one, two].map((secret) => {
          const content = Buffer.from(`${anyId}.${at}.${body}`, "utf8");
          return `v1,${createHmac("sha256", Buffer.from(secret, "base64")).update(content).digest("base64")}`;
        });
        expect(sign(anyId, at, body)).toBe(expected.join(" "));
      }
    }),
    { numRuns: 200 },
  );
});
