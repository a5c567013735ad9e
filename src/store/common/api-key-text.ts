import { createHash, randomBytes } from "node:crypto";

/** What an API key is as text, and what is kept of it: never itself. */

const KEY_PATTERN = /^ia_sk_[0-9a-f]{48}$/;
const PREFIX_LENGTH = 12;

export interface KeyText {
  rawKey: string;
  keyPrefix: string;
  keyHash: Buffer;
}

/** A new key, with 192 random bits. */
export function newKeyText(): KeyText {
  const rawKey = `ia_sk_${randomBytes(24).toString("hex")}`;
  return { rawKey, keyPrefix: rawKey.slice(0, PREFIX_LENGTH), keyHash: hashOf(rawKey) };
}

/** The SHA-256 by which a key is found; null for a text that is none. */
export function keyHashOf(text: string): Buffer | null {
  return KEY_PATTERN.test(text) ? hashOf(text) : null;
}

function hashOf(rawKey: string): Buffer {
  return createHash("sha256").update(rawKey).digest();
}
