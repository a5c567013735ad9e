import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { messageOf, UsageError } from "../errors.ts";
import { createSecretBox, SECRET_KEY_BYTES, sealedKeyId } from "./secret-box.ts";

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

/** Writes a key so that a crash or a power cut leaves either no file or a whole one, readable by its owner only. */
export function writeSecretKey(path: string, key: Buffer): void {
  const temporary = `${path}.tmp`;
  writeFileSync(temporary, `${key.toString("hex")}\n`, { mode: 0o600, flush: true });
  replaceFile(temporary, path);
}

/** Renames, and waits until the new name is on disk: what is sealed with a key must not outlive it. */
export function replaceFile(from: string, to: string): void {
  renameSync(from, to);
  const directory = openSync(dirname(to), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

export function newSecretKey(): Buffer {
  return randomBytes(SECRET_KEY_BYTES);
}

/** Where a rotation keeps the new key until the database has been sealed with it. */
export function nextKeyPath({ path }: SecretKeySource): string {
  return `${path}.next`;
}

/**
 * The file with the key that a sealed secret needs: the usual one, or the one that a rotation that was cut
 * short has left. Null when neither fits; without a sealed secret every key fits. Throws UsageError.
 */
export function fittingKeyPath(source: SecretKeySource, sealed: Uint8Array | null): string | null {
  const paths = [source.path, nextKeyPath(source)].filter(existsSync);
  return paths.find((path) => fits(readSecretKey(path), sealed)) ?? null;
}

/** Whether a key opens a sealed secret; where there is none, every key does. */
export function fits(key: Buffer, sealed: Uint8Array | null): boolean {
  return sealed === null || sealedKeyId(sealed) === createSecretBox(key).keyId;
}

/** Root may rotate the key of a daemon that runs as another user, who must still be able to read it. */
export function copyOwner(from: string, to: string): void {
  const { mode, uid, gid } = statSync(from);
  if (process.getuid?.() === 0) chownSync(to, uid, gid);
  chmodSync(to, mode & 0o777);
}
