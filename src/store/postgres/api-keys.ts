import type { Clock } from "../../clock.ts";
import type { ApiKey, ApiKeys, Identity, NewApiKey } from "../api-keys.ts";
import { keyHashOf, newKeyText } from "../common/api-key-text.ts";
import { StoreFault } from "../faults.ts";
import type { PostgresDatabase } from "./database.ts";
import { type Directory, ORGANIZATION_COLUMNS, raising } from "./directory.ts";
import type { Query, Work } from "./pool.ts";

/** Keys that are remembered; past this, all are looked up again. */
const MAX_REMEMBERED = 10_000;

export interface PostgresApiKeys extends ApiKeys {
  /** Writes down when keys were used, as far as that was noted since the last time. */
  writeUses(): Promise<void>;
}

const COLUMNS = `id, uuid, organization_id AS "organizationId", name, key_prefix AS "keyPrefix",
  rate_limit_per_minute AS "rateLimitPerMinute", read_only AS "readOnly", enabled, last_used_at::float8 AS "lastUsedAt",
  created_at::float8 AS "createdAt", expires_at::float8 AS "expiresAt"`;

/** Makes a key at a wall time; part of a transaction. */
export async function insertKey(
  query: Query,
  { organizationId, name, rateLimitPerMinute, readOnly = false, expiresAt }: NewApiKey,
  createdAt: number,
): Promise<{ key: ApiKey; rawKey: string }> {
  const { rawKey, keyPrefix, keyHash } = newKeyText();
  const [key] = await query<ApiKey>(
    `INSERT INTO api_keys (uuid, organization_id, name, key_prefix, key_hash, rate_limit_per_minute, read_only, created_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING ${COLUMNS}`,
    [
      crypto.randomUUID(),
      organizationId,
      name,
      keyPrefix,
      keyHash,
      rateLimitPerMinute,
      readOnly,
      createdAt,
      expiresAt,
    ],
  );
  return { key: key as ApiKey, rawKey };
}

export interface ApiKeysParts {
  clock: Clock;
  directory: Pick<Directory, "version">;
  /** Told after a change that others keep in memory. */
  changed: () => Promise<void>;
  isResident: boolean;
}

export function createApiKeys(
  database: PostgresDatabase,
  { clock, directory, changed, isResident }: ApiKeysParts,
): PostgresApiKeys {
  const { main } = database;
  /** By the hash of the raw key; what is remembered of another version may no longer hold. */
  const remembered = new Map<string, Identity>();
  let rememberedIn = directory.version();
  /** Wall times by key id. */
  let uses = new Map<number, number>();

  const write = <T>(run: Work<T>): Promise<T> =>
    database.write(raising(run), () => {
      remembered.clear();
      return changed();
    });

  const recall = (hash: string): Identity | undefined => {
    if (!isResident) return undefined;
    if (rememberedIn !== directory.version()) remembered.clear();
    rememberedIn = directory.version();
    return remembered.get(hash);
  };

  const remember = (hash: string, identity: Identity): void => {
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    remembered.set(hash, identity);
  };

  const lookUp = async (hash: Buffer): Promise<Identity | null> => {
    const [key] = await main.query<ApiKey>(`SELECT ${COLUMNS} FROM api_keys WHERE key_hash = $1`, [hash]);
    if (!key) return null;
    const [organization] = await main.query<Identity["organization"]>(
      `SELECT ${ORGANIZATION_COLUMNS} FROM organizations WHERE id = $1`,
      [key.organizationId],
    );
    if (!organization) return null;
    return { key, organization };
  };

  const note = (identity: Identity): Identity => {
    uses.set(identity.key.id, clock.wall());
    return identity;
  };

  return {
    create: (input) => write((query) => insertKey(query, input, clock.wall())),
    list: async (organizationId) => [
      ...(await main.query<ApiKey>(`SELECT ${COLUMNS} FROM api_keys WHERE organization_id = $1 ORDER BY id`, [
        organizationId,
      ])),
    ],
    revoke: (uuid) =>
      write(async (query) => {
        const [key] = await query<ApiKey>(
          `UPDATE api_keys SET enabled = false WHERE uuid = $1 RETURNING ${COLUMNS}`,
          [uuid],
        );
        return key ?? null;
      }),
    identify(rawKey) {
      const hash = keyHashOf(rawKey);
      if (!hash) return null;
      const fault = database.fault();
      if (fault !== null) throw new StoreFault(fault);
      const text = hash.toString("base64");
      const known = recall(text);
      if (known) return note(known);
      const version = directory.version();
      return lookUp(hash).then((identity) => {
        if (identity === null) return null;
        // What has changed meanwhile need not be in this answer.
        if (version === directory.version()) remember(text, identity);
        return note(identity);
      });
    },
    async writeUses() {
      if (uses.size === 0) return;
      const noted = uses;
      uses = new Map();
      await main.query(
        `UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, u.at)
         FROM unnest($1::int[], $2::bigint[]) AS u(id, at) WHERE k.id = u.id`,
        [[...noted.keys()], [...noted.values()]],
      );
    },
  };
}
