import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { eq, sql } from "drizzle-orm";
import type { Clock } from "../../clock.ts";
import type { ApiKey, ApiKeys, NewApiKey } from "../api-keys.ts";
import type { Orm, StoreDatabase } from "./database.ts";
import { outward, promised } from "./faults.ts";
import { apiKeys, organizations } from "./schema.ts";

const KEY_PATTERN = /^ia_sk_[0-9a-f]{48}$/;
const PREFIX_LENGTH = 12;

export interface SqliteApiKeys extends ApiKeys {
  /** Writes down when keys were used, as far as that was noted since the last time. */
  writeUses(): void;
}

/** Makes a key at a wall time; part of a transaction. */
export function insertKey(orm: Orm, input: NewApiKey, createdAt: number): { key: ApiKey; rawKey: string } {
  const rawKey = `ia_sk_${randomBytes(24).toString("hex")}`;
  const values = {
    ...input,
    uuid: crypto.randomUUID(),
    keyPrefix: rawKey.slice(0, PREFIX_LENGTH),
    keyHash: hashKey(rawKey),
    createdAt,
  };
  return { key: toApiKey(orm.insert(apiKeys).values(values).returning().get()), rawKey };
}

/**
 * Keys are found by the SHA-256 of what was sent. An index look-up may stop early at a differing byte, but
 * of a hash: who measures that learns nothing of a key with 192 random bits.
 */
export function createApiKeys({ orm, transaction }: StoreDatabase, clock: Clock): SqliteApiKeys {
  const findByHash = orm
    .select({ key: apiKeys, organization: organizations })
    .from(apiKeys)
    .innerJoin(organizations, eq(organizations.id, apiKeys.organizationId))
    .where(eq(apiKeys.keyHash, sql.placeholder("hash")))
    .prepare();

  /** Wall times by key id. */
  const uses = new Map<number, number>();

  return {
    create: (input) => promised(() => transaction("durable", () => insertKey(orm, input, clock.wall()))),
    list: (organizationId) =>
      promised(() =>
        orm
          .select()
          .from(apiKeys)
          .where(eq(apiKeys.organizationId, organizationId))
          .orderBy(apiKeys.id)
          .all()
          .map(toApiKey),
      ),
    revoke: (uuid) =>
      promised(() => {
        const row = transaction("durable", () =>
          orm.update(apiKeys).set({ enabled: false }).where(eq(apiKeys.uuid, uuid)).returning().get(),
        );
        return row ? toApiKey(row) : null;
      }),
    identify: (rawKey) => {
      if (!KEY_PATTERN.test(rawKey)) return null;
      const hash = hashKey(rawKey);
      try {
        const row = findByHash.get({ hash });
        if (!row || !timingSafeEqual(row.key.keyHash, hash)) return null;
        uses.set(row.key.id, clock.wall());
        return { key: toApiKey(row.key), organization: row.organization };
      } catch (error) {
        throw outward(error);
      }
    },
    writeUses: () => {
      if (uses.size === 0) return;
      transaction("relaxed", () => {
        for (const [id, lastUsedAt] of uses) {
          orm.update(apiKeys).set({ lastUsedAt }).where(eq(apiKeys.id, id)).run();
        }
      });
      uses.clear();
    },
  };
}

function toApiKey({ keyHash: _hash, ...key }: typeof apiKeys.$inferSelect): ApiKey {
  return key;
}

function hashKey(rawKey: string): Buffer {
  return createHash("sha256").update(rawKey).digest();
}
