import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { eq, sql } from "drizzle-orm";
import type { Orm, StoreDatabase } from "./database.ts";
import type { Organization } from "./organizations.ts";
import { apiKeys, organizations } from "./schema.ts";

export type ApiKey = typeof apiKeys.$inferSelect;

export const DEFAULT_RATE_LIMIT_PER_MINUTE = 60;
const KEY_PATTERN = /^ia_sk_[0-9a-f]{48}$/;
const PREFIX_LENGTH = 12;

export interface ApiKeyStore {
  /** Makes a key; the raw key is in this answer only, the table keeps its SHA-256. */
  create(input: NewApiKey): { key: ApiKey; rawKey: string };
  list(organizationId: number): ApiKey[];
  /** Turns a key off for good; null when there is none with this id. */
  revoke(uuid: string): ApiKey | null;
  /** The key and organization of a raw key, whether or not the key still holds; null when unknown. */
  find(rawKey: string): { key: ApiKey; organization: Organization } | null;
  markUsed(lastUsed: ReadonlyMap<number, number>): void;
}

export interface NewApiKey {
  organizationId: number;
  name: string;
  rateLimitPerMinute: number;
  expiresAt: number | null;
  now: number;
}

export function insertKey(orm: Orm, { now, ...input }: NewApiKey): { key: ApiKey; rawKey: string } {
  const rawKey = `ia_sk_${randomBytes(24).toString("hex")}`;
  const values = {
    ...input,
    uuid: crypto.randomUUID(),
    keyPrefix: rawKey.slice(0, PREFIX_LENGTH),
    keyHash: hashKey(rawKey),
    createdAt: now,
  };
  return { key: orm.insert(apiKeys).values(values).returning().get(), rawKey };
}

/**
 * Keys are found by the SHA-256 of what was sent. An index look-up may stop early at a differing byte, but
 * of a hash: who measures that learns nothing of a key with 192 random bits.
 */
export function createApiKeyStore({ orm, transaction }: StoreDatabase): ApiKeyStore {
  const findByHash = orm
    .select({ key: apiKeys, organization: organizations })
    .from(apiKeys)
    .innerJoin(organizations, eq(organizations.id, apiKeys.organizationId))
    .where(eq(apiKeys.keyHash, sql.placeholder("hash")))
    .prepare();

  return {
    create: (input) => transaction("durable", () => insertKey(orm, input)),
    list: (organizationId) =>
      orm.select().from(apiKeys).where(eq(apiKeys.organizationId, organizationId)).orderBy(apiKeys.id).all(),
    revoke: (uuid) =>
      transaction(
        "durable",
        () =>
          orm.update(apiKeys).set({ enabled: false }).where(eq(apiKeys.uuid, uuid)).returning().get() ?? null,
      ),
    find: (rawKey) => {
      if (!KEY_PATTERN.test(rawKey)) return null;
      const hash = hashKey(rawKey);
      const row = findByHash.get({ hash });
      return row && timingSafeEqual(row.key.keyHash, hash) ? row : null;
    },
    markUsed: (lastUsed) =>
      transaction("relaxed", () => {
        for (const [id, lastUsedAt] of lastUsed) {
          orm.update(apiKeys).set({ lastUsedAt }).where(eq(apiKeys.id, id)).run();
        }
      }),
  };
}

function hashKey(rawKey: string): Buffer {
  return createHash("sha256").update(rawKey).digest();
}
