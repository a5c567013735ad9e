import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createClock } from "../../../src/clock.ts";
import type { Identity } from "../../../src/store/api-keys.ts";
import { isStoreFault } from "../../../src/store/faults.ts";
import { createApiKeys, type SqliteApiKeys } from "../../../src/store/sqlite/api-keys.ts";
import type { SqliteStore } from "../../../src/store/sqlite/store.ts";
import { newDir, removeDir } from "../../support/daemon.ts";
import { addOrganization, openTestStore } from "../seed.ts";

let dir: string;
let store: SqliteStore;
let keys: SqliteApiKeys;
let organizationId: number;
let wall: number;

beforeEach(async () => {
  dir = newDir();
  wall = 1_750_000_000_000;
  store = openTestStore(dir);
  keys = createApiKeys(store.database, createClock(null, { wall: () => wall }));
  organizationId = await addOrganization(store);
});
afterEach(async () => {
  await store.close();
  removeDir(dir);
});

const create = async () =>
  (await keys.create({ organizationId, name: "ci", rateLimitPerMinute: 60, expiresAt: null })).rawKey;
const usedAt = async () => (await keys.list(organizationId)).map(({ lastUsedAt }) => lastUsedAt);

describe("the uses of keys", () => {
  test("are noted in memory and written down together, the latest of each", async () => {
    const [first, second] = [await create(), await create(), await create()];
    keys.identify(first);
    keys.identify(second);
    wall += 5;
    keys.identify(first);
    expect(await usedAt()).toEqual([null, null, null]);
    keys.writeUses();
    expect(await usedAt()).toEqual([wall, wall - 5, null]);
  });

  test("are written once: what another daemon wrote since is not overwritten", async () => {
    keys.identify(await create());
    keys.writeUses();
    store.database.sqlite.exec("UPDATE api_keys SET last_used_at = 7");
    keys.writeUses();
    expect(await usedAt()).toEqual([7]);
  });

  test("are kept for the next time when they cannot be written", async () => {
    keys.identify(await create());
    store.database.sqlite.exec("PRAGMA query_only = ON");
    expect(() => keys.writeUses()).toThrow();
    store.database.sqlite.exec("PRAGMA query_only = OFF");
    expect(await usedAt()).toEqual([null]);
    keys.writeUses();
    expect(await usedAt()).toEqual([wall]);
  });

  test("are not noted of a key that nobody has", async () => {
    await create();
    expect(keys.identify(`ia_sk_${"0".repeat(48)}`)).toBeNull();
    expect(keys.identify("ia_sk_short")).toBeNull();
    keys.writeUses();
    expect(await usedAt()).toEqual([null]);
  });
});

describe("a key", () => {
  test("is found at once, without its hash, and kept as nothing but a hash", async () => {
    const rawKey = await create();
    const identity = keys.identify(rawKey) as Identity;
    expect(identity).not.toBeInstanceOf(Promise);
    expect(identity.organization.id).toBe(organizationId);
    expect(Object.keys(identity.key)).not.toContain("keyHash");
    const row = store.database.sqlite.query("SELECT * FROM api_keys").get() as { key_hash: Uint8Array };
    expect(Object.values(row)).not.toContain(rawKey);
    expect(row.key_hash.length).toBe(32);
  });

  test("that cannot be looked up is a fault of the store, not a stranger's", async () => {
    const rawKey = await create();
    store.database.sqlite.exec("ALTER TABLE api_keys RENAME TO elsewhere");
    let fault: unknown = null;
    try {
      keys.identify(rawKey);
    } catch (error) {
      fault = error;
    }
    expect(isStoreFault(fault)).toBe(true);
    store.database.sqlite.exec("ALTER TABLE elsewhere RENAME TO api_keys");
  });
});
