import { timingSafeEqual } from "node:crypto";
import { eq, sql } from "drizzle-orm";
import type { Clock } from "../../clock.ts";
import type { ApiKey, ApiKeys, NewApiKey } from "../api-keys.ts";
import { keyHashOf, newKeyText } from "../common/api-key-text.ts";
import type { Orm, StoreDatabase } from "./database.ts";
import { outward, promised } from "./faults.ts";
import { apiKeys, organizations } from "./schema.ts";

export interface SqliteApiKeys extends ApiKeys {
  /** Writes down when keys were used, as far as that was noted since the last time. */
  writeUses(): void;
}

/** Makes a key at a wall time; part of a transaction. */
export function insertKey(orm: Orm, input: NewApiKey, createdAt: number): { key: ApiKey; rawKey: string } {
  const { rawKey, ...kept } = newKeyText();
  const values = { ...input, ...kept, uuid: crypto.randomUUID(), createdAt };
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
      const hash = keyHashOf(rawKey);
      if (!hash) return null;
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
