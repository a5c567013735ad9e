import { randomBytes } from "node:crypto";
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  readFileSync,
  renameSync,
  type Stats,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { syncDirectory } from "../directories.ts";
import { messageOf, UsageError } from "../errors.ts";
import { mayBeThere, openNew } from "../files.ts";
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

/** Reads a key file: 64 hex digits (32 bytes), as `openssl rand -hex 32` writes them. Throws UsageError; only a file that was named is a bad value (exit code 2). */
export function readSecretKey({ path, managed }: SecretKeySource): Buffer {
  const exitCode = managed ? 2 : 1;
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new UsageError(`cannot read the secret key file ${path}: ${messageOf(error)}`, exitCode);
  }
  if (!/^[0-9a-f]{64}$/i.test(text)) {
    throw new UsageError(
      `the secret key file ${path} must hold 64 hex digits: make one with "openssl rand -hex 32"`,
      exitCode,
    );
  }
  return Buffer.from(text, "hex");
}

export function secretKeyExists({ path }: SecretKeySource): boolean {
  return mayBeThere(path);
}

type KeyOwner = Pick<Stats, "mode" | "uid" | "gid">;

/**
 * Writes a key so that a crash or a power cut leaves either no file or a whole one, readable by the owner of the
 * directory only, or by whom the file `like` is.
 */
export function writeSecretKey(path: string, key: Buffer, like: KeyOwner | null = null): void {
  const temporary = `${path}.tmp`;
  const file = openNew(temporary);
  try {
    writeFileSync(file, `${key.toString("hex")}\n`);
    if (like) giveTo(file, like);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  replaceFile(temporary, path);
}

/** Root may rotate the key of a daemon that runs as another user, who must still be able to read it. */
function giveTo(file: number, { mode, uid, gid }: KeyOwner): void {
  if (process.getuid?.() === 0) fchownSync(file, uid, gid);
  fchmodSync(file, mode & 0o777);
}

/** Renames, and waits until the new name is on disk: what is sealed with a key, say, must not outlive it. */
export function replaceFile(from: string, to: string): void {
  renameSync(from, to);
  syncDirectory(dirname(to));
}

export function newSecretKey(): Buffer {
  return randomBytes(SECRET_KEY_BYTES);
}

/** Where a rotation keeps the new key until the database has been sealed with it. */
export function nextKeyPath({ path }: Pick<SecretKeySource, "path">): string {
  return `${path}.next`;
}

/**
 * The file with the key that a sealed secret needs: the usual one, or the one that a rotation that was cut
 * short has left. Null when neither fits; without a sealed secret every key fits. Throws UsageError.
 */
export function fittingKeyPath(source: SecretKeySource, sealed: Uint8Array | null): string | null {
  const paths = [source.path, nextKeyPath(source)].filter(mayBeThere);
  return paths.find((path) => fits(readSecretKey({ ...source, path }), sealed)) ?? null;
}

/** Whether a key opens a sealed secret; where there is none, every key does. */
export function fits(key: Buffer, sealed: Uint8Array | null): boolean {
  return sealed === null || sealedKeyId(sealed) === createSecretBox(key).keyId;
}
