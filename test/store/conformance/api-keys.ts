import { describe, expect, test } from "bun:test";
import { isStoreFault } from "../../../src/store/faults.ts";
import { until } from "../../support/daemon.ts";
import { addOrganization, eachWithWorld, type Harness, SOON } from "./harness.ts";

const INPUT = { name: "ci", rateLimitPerMinute: 60, expiresAt: null };

export function apiKeysConform(harness: Harness): void {
  describe("API keys", () => {
    const under = eachWithWorld(harness);

    test("are shown once, and found by what was shown, also later", async () => {
      const organizationId = await addOrganization(under.store);
      const { key, rawKey } = await under.store.apiKeys.create({ ...INPUT, organizationId, expiresAt: 7 });
      expect(rawKey).toMatch(/^ia_sk_[0-9a-f]{48}$/);
      expect(key).toEqual({
        id: expect.any(Number),
        uuid: expect.any(String),
        organizationId,
        name: "ci",
        keyPrefix: rawKey.slice(0, 12),
        rateLimitPerMinute: 60,
        readOnly: false,
        enabled: true,
        lastUsedAt: null,
        createdAt: expect.any(Number),
        expiresAt: 7,
      });
      const again = await under.world.reopen();
      expect(await again.apiKeys.list(organizationId)).toEqual([key]);
      const identity = await again.apiKeys.identify(rawKey);
      expect(identity?.key.uuid).toBe(key.uuid);
      expect(identity?.organization.id).toBe(organizationId);
    });

    test("stand for nobody when they are not exactly one that was shown", async () => {
      const organizationId = await addOrganization(under.store);
      const { apiKeys } = under.store;
      const { rawKey } = await apiKeys.create({ ...INPUT, organizationId });
      const wrong = [
        rawKey.slice(0, -1),
        `${rawKey}0`,
        rawKey.toUpperCase(),
        `ia_sk_${"0".repeat(48)}`,
        "",
        "' OR 1=1 --",
      ];
      for (const text of wrong) expect(await apiKeys.identify(text)).toBeNull();
    });

    test("that are revoked are known to be, for good", async () => {
      const organizationId = await addOrganization(under.store);
      const { apiKeys } = under.store;
      const { key, rawKey } = await apiKeys.create({ ...INPUT, organizationId });
      expect((await apiKeys.revoke(key.uuid))?.enabled).toBe(false);
      expect((await apiKeys.identify(rawKey))?.key.enabled).toBe(false);
      expect((await apiKeys.revoke(key.uuid))?.enabled).toBe(false);
      expect(await apiKeys.revoke("00000000-0000-4000-8000-000000000000")).toBeNull();
    });

    test("that are made or revoked elsewhere are known to be within a second", async () => {
      const organizationId = await addOrganization(under.store);
      const beside = await under.world.beside();
      const { key, rawKey } = await beside.apiKeys.create({ ...INPUT, organizationId });
      const find = async () => (await under.store.apiKeys.identify(rawKey))?.key ?? null;
      await until("it is found", async () => (await find()) !== null, SOON);
      await beside.apiKeys.revoke(key.uuid);
      await until("it is revoked", async () => (await find())?.enabled === false, SOON);
    });

    test("come with the plan that their organization has by then", async () => {
      const { organizations, apiKeys } = under.store;
      const { id, uuid } = await organizations.create({ name: "one", plan: "personal" });
      const { rawKey } = await apiKeys.create({ ...INPUT, organizationId: id });
      expect((await apiKeys.identify(rawKey))?.organization.plan).toBe("personal");
      await organizations.update(uuid, { plan: "enterprise" });
      const plan = async () => (await apiKeys.identify(rawKey))?.organization.plan;
      await until("the plan has changed", async () => (await plan()) === "enterprise", SOON);
    });

    test("tell when they were used, within a second and after a restart", async () => {
      const organizationId = await addOrganization(under.store);
      const { apiKeys, clock } = under.store;
      const { rawKey } = await apiKeys.create({ ...INPUT, organizationId });
      await apiKeys.create({ ...INPUT, organizationId });
      const usedAt = async () => (await apiKeys.list(organizationId)).map(({ lastUsedAt }) => lastUsedAt);
      await apiKeys.identify(rawKey);
      await until("the use is written down", async () => (await usedAt())[0] !== null, SOON);
      const [first, other] = await usedAt();
      expect(Math.abs((first ?? 0) - clock.wall())).toBeLessThan(5_000);
      expect(other).toBeNull();
      under.world.skipTime(60_000);
      await apiKeys.identify(rawKey);
      const again = await under.world.reopen();
      expect((await again.apiKeys.list(organizationId))[0]?.lastUsedAt).toBeGreaterThan(
        (first ?? 0) + 50_000,
      );
    });

    test("are not made when the store cannot write", async () => {
      const organizationId = await addOrganization(under.store);
      const { apiKeys } = under.store;
      under.world.breakWrites();
      expect(await apiKeys.create({ ...INPUT, organizationId }).catch(isStoreFault)).toBe(true);
      under.world.mendWrites();
      expect(await apiKeys.list(organizationId)).toEqual([]);
    });
  });
}
