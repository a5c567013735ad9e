import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf, UsageError } from "../errors.ts";
import { deleteMeta, getMeta } from "./meta.ts";
import { createSecretBox, SECRET_KEY_BYTES, type SecretBox, sealedKeyId } from "./secret-box.ts";
import type { Store } from "./store.ts";

export const SECRET_KEY_FILE = "secret.key";

/** Where the key comes from: a file that the operator keeps, or one of ours in the data directory. */
export interface SecretKeySource {
  path: string;
  managed: boolean;
}

export function secretKeySource(dataDir: string, secretKeyFile: string | null): SecretKeySource {
  return secretKeyFile === null
    ? { path: join(dataDir, SECRET_KEY_FILE), managed: false }
    : { path: secretKeyFile, managed: true };
}

/** Reads a key file: 64 hex digits (32 bytes), as `openssl rand -hex 32` writes them. Throws UsageError. */
export function readSecretKey(path: string): Buffer {
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new UsageError(`cannot read the secret key file ${path}: ${messageOf(error)}`);
  }
  if (!/^[0-9a-f]{64}$/i.test(text)) {
    throw new UsageError(
      `the secret key file ${path} must hold 64 hex digits: make one with "openssl rand -hex 32"`,
    );
  }
  return Buffer.from(text, "hex");
}

export function secretKeyExists({ path }: SecretKeySource): boolean {
  return existsSync(path);
}

/** Writes a key so that a crash leaves either no file or a whole one, readable by its owner only. */
export function writeSecretKey(path: string, key: Buffer): void {
  const temporary = `${path}.tmp`;
  writeFileSync(temporary, `${key.toString("hex")}\n`, { mode: 0o600, flush: true });
  renameSync(temporary, path);
}

export function newSecretKey(): Buffer {
  return randomBytes(SECRET_KEY_BYTES);
}

/** Where a rotation keeps the new key until the database has been sealed with it. */
export function nextKeyPath({ path }: SecretKeySource): string {
  return `${path}.next`;
}

/**
 * The box for a store's secrets. Makes a key on first start, takes one over from a restored backup, and
 * finishes a rotation that was cut short. Throws UsageError when the key does not fit the database.
 */
export function openSecretBox(store: Store, source: SecretKeySource): SecretBox {
  const sealed = store.webhooks.anySealedSecret();
  if (!secretKeyExists(source)) provideKey(store, source, sealed !== null);
  const box = createSecretBox(readSecretKey(source.path));
  if (!sealed || sealedKeyId(sealed) === box.keyId) return box;
  const next = nextKeyPath(source);
  if (existsSync(next)) {
    const nextBox = createSecretBox(readSecretKey(next));
    if (sealedKeyId(sealed) === nextBox.keyId) {
      renameSync(next, source.path);
      return nextBox;
    }
  }
  throw new UsageError(
    `the secret key in ${source.path} is not the one that this database was sealed with; put the right key there, or name it with --secret-key-file`,
    1,
  );
}

function provideKey({ database, webhooks }: Store, source: SecretKeySource, needed: boolean): void {
  if (source.managed) throw new UsageError(`the secret key file ${source.path} does not exist`);
  const carried = getMeta(database.orm, "secret_key");
  if (carried !== null) {
    writeSecretKey(source.path, Buffer.from(carried, "hex"));
    database.transaction("durable", () => deleteMeta(database.orm, "secret_key"));
  } else if (needed && webhooks.anySealedSecret() !== null) {
    throw new UsageError(
      `the secret key ${source.path} is missing, and without it the webhook secrets in the database cannot be read; restore it from a backup`,
      1,
    );
  } else {
    writeSecretKey(source.path, newSecretKey());
  }
}
