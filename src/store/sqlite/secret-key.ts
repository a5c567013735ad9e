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
import { messageOf, UsageError } from "../../errors.ts";
import { createSecretBox, SECRET_KEY_BYTES, type SecretBox, sealedKeyId } from "../secret-box.ts";
import { deleteMeta, getMeta } from "./meta.ts";
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

/** Writes a key so that a crash or a power cut leaves either no file or a whole one, readable by its owner only. */
export function writeSecretKey(path: string, key: Buffer): void {
  const temporary = `${path}.tmp`;
  writeFileSync(temporary, `${key.toString("hex")}\n`, { mode: 0o600, flush: true });
  replaceFile(temporary, path);
}

/** Renames, and waits until the new name is on disk: what is sealed with a key must not outlive it. */
function replaceFile(from: string, to: string): void {
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

function fits(key: Buffer, sealed: Uint8Array | null): boolean {
  return sealed === null || sealedKeyId(sealed) === createSecretBox(key).keyId;
}

/**
 * The box for a store's secrets. Makes a key on first start, takes one over from a restored backup, and
 * finishes a rotation that was cut short. Throws UsageError when the key does not fit the database.
 */
export function openSecretBox(store: Store, source: SecretKeySource): SecretBox {
  const sealed = store.webhooks.anySealedSecret();
  const fitting = secretKeyExists(source) ? fittingKeyPath(source, sealed) : null;
  if (fitting === null) provideKey(store, source, sealed);
  else if (fitting !== source.path) replaceFile(fitting, source.path);
  forgetCarriedKey(store);
  return createSecretBox(readSecretKey(source.path));
}

/** Puts the key in its place that a backup carries, or makes one where nothing is sealed yet. */
function provideKey({ database }: Store, source: SecretKeySource, sealed: Uint8Array | null): void {
  const { path, managed } = source;
  const present = secretKeyExists(source);
  if (managed && !present) throw new UsageError(`the secret key file ${path} does not exist`);
  const text = getMeta(database.orm, "secret_key");
  const carried = text === null ? null : Buffer.from(text, "hex");
  if (!managed && carried && fits(carried, sealed)) {
    // Perhaps the key of a database that was only moved aside.
    if (present) replaceFile(path, `${path}.replaced`);
    writeSecretKey(path, carried);
    return;
  }
  if (present) {
    throw new UsageError(
      `the secret key in ${path} is not the one that this database was sealed with; put the right key there, or name it with --secret-key-file${carried ? " (the database is a backup that carries its key: start once without --secret-key-file)" : ""}`,
      1,
    );
  }
  if (sealed !== null) {
    throw new UsageError(
      `the secret key ${path} is missing, and without it the webhook secrets in the database cannot be read; restore it from a backup`,
      1,
    );
  }
  writeSecretKey(path, newSecretKey());
}

/** A key beside what it seals protects nothing: it is in the copy only until the copy is started on. */
function forgetCarriedKey({ database }: Store): void {
  if (getMeta(database.orm, "secret_key") === null) return;
  withSecureDelete(database.sqlite, () =>
    database.transaction("durable", () => deleteMeta(database.orm, "secret_key")),
  );
}

/** Runs something with SQLite overwriting what is deleted, in the file too and not only in its log. */
function withSecureDelete<T>(sqlite: Store["database"]["sqlite"], run: () => T): T {
  sqlite.exec("PRAGMA secure_delete = ON");
  try {
    return run();
  } finally {
    sqlite.exec("PRAGMA secure_delete = OFF");
    sqlite.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  }
}

/**
 * Makes a new key, seals every secret with it and puts it in its place; answers how many webhooks that were.
 * Call it only while holding the lock. Cut short anywhere, it leaves a key that fits, and the next start
 * tidies up.
 */
export function rotateSecretKey(store: Store, source: SecretKeySource): number {
  store.useSecretBox(openSecretBox(store, source));
  const key = newSecretKey();
  const next = nextKeyPath(source);
  writeSecretKey(next, key);
  copyOwner(source.path, next);
  const count = withSecureDelete(store.database.sqlite, () => store.webhooks.reseal(createSecretBox(key)));
  replaceFile(next, source.path);
  return count;
}

/** Root may rotate the key of a daemon that runs as another user, who must still be able to read it. */
function copyOwner(from: string, to: string): void {
  const { mode, uid, gid } = statSync(from);
  if (process.getuid?.() === 0) chownSync(to, uid, gid);
  chmodSync(to, mode & 0o777);
}
