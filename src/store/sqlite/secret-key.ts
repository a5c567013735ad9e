import { statSync } from "node:fs";
import { UsageError } from "../../errors.ts";
import {
  fits,
  fittingKeyPath,
  newSecretKey,
  nextKeyPath,
  readSecretKey,
  replaceFile,
  type SecretKeySource,
  secretKeyExists,
  writeSecretKey,
} from "../../secrets/key-file.ts";
import { createSecretBox, type SecretBox } from "../../secrets/secret-box.ts";
import type { StoreDatabase } from "./database.ts";
import { sealedSecretIn } from "./inspect.ts";
import { deleteMeta, getMeta } from "./meta.ts";

/**
 * The box for a store's secrets. Makes a key on first start, takes one over from a restored backup, and
 * finishes a rotation that was cut short. Throws UsageError when the key does not fit the database.
 */
export function openSecretBox(database: StoreDatabase, source: SecretKeySource): SecretBox {
  const sealed = sealedSecretIn(database.sqlite);
  const fitting = secretKeyExists(source) ? fittingKeyPath(source, sealed) : null;
  if (fitting === null) provideKey(database, source, sealed);
  else if (fitting !== source.path) replaceFile(fitting, source.path);
  forgetCarriedKey(database);
  return createSecretBox(readSecretKey(source));
}

/** Puts the key in its place that a backup carries, or makes one where nothing is sealed yet. */
function provideKey({ orm }: StoreDatabase, source: SecretKeySource, sealed: Uint8Array | null): void {
  const { path, managed } = source;
  const present = secretKeyExists(source);
  if (managed && !present) throw new UsageError(`the secret key file ${path} does not exist`);
  const text = getMeta(orm, "secret_key");
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
function forgetCarriedKey(database: StoreDatabase): void {
  const { orm, transaction } = database;
  if (getMeta(orm, "secret_key") === null) return;
  withSecureDelete(database, () => transaction("durable", () => deleteMeta(orm, "secret_key")));
}

/** Runs something with SQLite overwriting what is deleted, in the file too and not only in its log. */
function withSecureDelete<T>({ sqlite, emptyWal }: StoreDatabase, run: () => T): T {
  sqlite.exec("PRAGMA secure_delete = ON");
  try {
    const result = run();
    emptyWal();
    return result;
  } finally {
    sqlite.exec("PRAGMA secure_delete = OFF");
  }
}

/**
 * Makes a new key, has `reseal` seal every secret with it, and puts it in its place; answers what `reseal` does.
 * Cut short anywhere, it leaves a key that fits, and the next opening tidies up.
 */
export function rotateSecretKey<T>(
  database: StoreDatabase,
  source: SecretKeySource,
  reseal: (next: SecretBox) => T,
): T {
  const key = newSecretKey();
  const next = nextKeyPath(source);
  writeSecretKey(next, key, statSync(source.path));
  const result = withSecureDelete(database, () => reseal(createSecretBox(key)));
  replaceFile(next, source.path);
  return result;
}
