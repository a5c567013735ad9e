import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from "node:crypto";

/**
 * Seals webhook secrets for the database: AES-256-GCM (NIST SP 800-38D) under the installation's secret
 * key, bound to the webhook's id, so that a sealed secret moved to another row does not open.
 * Layout: version (1 byte), key id (4), nonce (12), tag (16), ciphertext.
 */
export interface SecretBox {
  keyId: string;
  /** A secret of 64 hex digits for another purpose, that tells nothing of the key. */
  derive(purpose: string): string;
  seal(secret: string, webhookUuid: string): Buffer;
  /** Throws when the key is not the one it was sealed with, or the bytes were changed. */
  open(sealed: Uint8Array, webhookUuid: string): string;
}

export const SECRET_KEY_BYTES = 32;
const VERSION = 1;
const HEADER = 5;
const NONCE = 12;
const TAG = 16;

export function createSecretBox(key: Buffer): SecretBox {
  const keyId = createHash("sha256").update(key).digest().subarray(0, 4);
  return {
    keyId: keyId.toString("hex"),
    derive: (purpose) => createHmac("sha256", key).update(purpose).digest("hex"),
    seal(secret, webhookUuid) {
      const nonce = randomBytes(NONCE);
      const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(webhookUuid));
      const ciphertext = Buffer.concat([cipher.update(secret, "utf8"), cipher.final()]);
      return Buffer.concat([Buffer.of(VERSION), keyId, nonce, cipher.getAuthTag(), ciphertext]);
    },
    open(sealed, webhookUuid) {
      const bytes = Buffer.from(sealed);
      if (bytes[0] !== VERSION) throw new Error("sealed secret of an unknown version");
      if (!bytes.subarray(1, HEADER).equals(keyId)) throw new Error("sealed with another secret key");
      const body = bytes.subarray(HEADER + NONCE + TAG);
      const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(HEADER, HEADER + NONCE))
        .setAAD(Buffer.from(webhookUuid))
        .setAuthTag(bytes.subarray(HEADER + NONCE, HEADER + NONCE + TAG));
      return Buffer.concat([decipher.update(body), decipher.final()]).toString("utf8");
    },
  };
}

/** The id of the key that a sealed secret needs, as 8 hex digits. */
export function sealedKeyId(sealed: Uint8Array): string {
  return Buffer.from(sealed.subarray(1, HEADER)).toString("hex");
}
