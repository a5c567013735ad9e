import { existsSync, statSync } from "node:fs";
import { UsageError } from "../../errors.ts";
import {
  newSecretKey,
  nextKeyPath,
  readSecretKey,
  replaceFile,
  type SecretKeySource,
  secretKeyExists,
  writeSecretKey,
} from "../../secrets/key-file.ts";
import { resealHeaders } from "../../secrets/sealed-headers.ts";
import { createSecretBox, type SecretBox } from "../../secrets/secret-box.ts";
import { holdOffDaemons } from "./alone.ts";
import type { PostgresDatabase } from "./database.ts";
import { raiseVersion } from "./directory.ts";
import type { Query } from "./pool.ts";

/**
 * The box for a store's secrets. The first daemon notes which key it has, and whoever comes with another is refused.
 * Also finishes a rotation that was cut short. Rejects with UsageError.
 */
export async function openSecretBox({ main }: PostgresDatabase, source: SecretKeySource): Promise<SecretBox> {
  const { path, managed } = source;
  if (!managed) {
    throw new UsageError(
      'with --database the secret key is the same for every daemon: make one with "openssl rand -hex 32" and name its file with --secret-key-file',
    );
  }
  if (!secretKeyExists(source)) throw new UsageError(`the secret key file ${path} does not exist`);
  const box = createSecretBox(readSecretKey(source));
  await main.query("INSERT INTO meta (key, value) VALUES ('key_id', $1) ON CONFLICT DO NOTHING", [box.keyId]);
  const [row] = await main.query<{ value: string }>("SELECT value FROM meta WHERE key = 'key_id'");
  if (row?.value === box.keyId) return box;
  const next = { ...source, path: nextKeyPath(source) };
  const rotated = secretKeyExists(next) ? createSecretBox(readSecretKey(next)) : null;
  if (rotated?.keyId !== row?.value) {
    throw new UsageError(
      `the secret key in ${path} is not the one that this database was sealed with; all daemons need the same --secret-key-file`,
      1,
    );
  }
  replaceFile(next.path, path);
  return rotated as SecretBox;
}

interface SealedRow {
  id: number;
  uuid: string;
  secret: Buffer;
  headers: Buffer | null;
}

/** Makes a new key and seals every secret with it, while no daemon runs; answers how many webhooks that were. */
export async function rotateSecretKey(
  database: PostgresDatabase,
  source: SecretKeySource,
  present: SecretBox,
): Promise<number> {
  const key = newSecretKey();
  const box = createSecretBox(key);
  const next = nextKeyPath(source);
  const rotate = async (query: Query): Promise<number> => {
    await holdOffOthers(query, present);
    writeSecretKey(next, key, statSync(source.path));
    return reseal(query, present, box);
  };
  const count = await database.writing(() => database.main.transaction(rotate, 60_000));
  // Whoever has opened the database since then may have finished it already.
  if (existsSync(next) && readSecretKey({ ...source, path: next }).equals(key))
    replaceFile(next, source.path);
  return count;
}

/** Daemons that would start meanwhile wait, and so does another rotation, which must not write over the key of this one. */
async function holdOffOthers(query: Query, present: SecretBox): Promise<void> {
  const refusal = new UsageError("a daemon runs on this database; stop all of them first", 1);
  await holdOffDaemons(query, refusal);
  const [known] = await query<{ value: string }>("SELECT value FROM meta WHERE key = 'key_id'");
  if (known?.value !== present.keyId)
    throw new UsageError("the secret key was rotated at this moment; nothing else was changed", 1);
}

async function reseal(query: Query, present: SecretBox, next: SecretBox): Promise<number> {
  const rows = await query<SealedRow>(
    "SELECT id, uuid, secret, headers FROM webhooks WHERE deleted_at IS NULL",
  );
  for (const { id, uuid, secret, headers } of rows) {
    await query("UPDATE webhooks SET secret = $2, headers = $3 WHERE id = $1", [
      id,
      next.seal(present.open(secret, uuid), uuid),
      resealHeaders({ headers, uuid }, present, next),
    ]);
  }
  const rotated = await query<Pick<SealedRow, "id" | "uuid" | "secret">>(
    "SELECT r.id, w.uuid, r.secret FROM rotated_secrets r JOIN webhooks w ON w.id = r.webhook_id",
  );
  for (const { id, uuid, secret } of rotated) {
    await query("UPDATE rotated_secrets SET secret = $2 WHERE id = $1", [
      id,
      next.seal(present.open(secret, uuid), uuid),
    ]);
  }
  await query("UPDATE meta SET value = $1 WHERE key = 'key_id'", [next.keyId]);
  await raiseVersion(query);
  return rows.length;
}
