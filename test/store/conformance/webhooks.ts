import { describe, expect, test } from "bun:test";
import { isStoreFault } from "../../../src/store/faults.ts";
import type { Webhook } from "../../../src/store/webhooks.ts";
import { addOrganization, addWebhook, eachWithWorld, type Harness } from "./harness.ts";

export function webhooksConform(harness: Harness): void {
  describe("webhooks", () => {
    const under = eachWithWorld(harness);

    test("are what was asked for, and stay; newest first in their organization, oldest first in all", async () => {
      const { webhooks } = under.store;
      const organizationId = await addOrganization(under.store);
      const other = await addOrganization(under.store, "other");
      const made = await webhooks.create(
        {
          organizationId,
          url: "https://a.example/1",
          events: ["green_tier", "red_tier"],
          format: "slack",
        },
        10,
      );
      expect(made?.secret).toMatch(/^[0-9a-f]{64}$/);
      const first = made?.webhook as Webhook;
      expect(first).toEqual({
        id: expect.any(Number),
        uuid: expect.any(String),
        organizationId,
        url: "https://a.example/1",
        events: ["green_tier", "red_tier"],
        format: "slack",
        enabled: true,
        disabledReason: null,
        failureCount: 0,
        lastTriggeredAt: null,
        lastSuccessAt: null,
        name: null,
        filter: null,
        rateLimitPerMinute: null,
        group: null,
        headerNames: [],
        createdAt: expect.any(Number),
      });
      const second = await addWebhook(under.store, organizationId);
      const theirs = await addWebhook(under.store, other);
      const again = (await under.world.reopen()).webhooks;
      expect(await again.list(organizationId)).toEqual([second, first]);
      expect(await again.all()).toEqual([first, second, theirs]);
      expect(await again.get(organizationId, first.uuid)).toEqual(first);
      expect((await again.load(first.id))?.secret).toBe(made?.secret as string);
    });

    test("of another organization are like none", async () => {
      const { webhooks } = under.store;
      const mine = await addOrganization(under.store);
      const { uuid, id } = await addWebhook(under.store, mine);
      const other = await addOrganization(under.store, "other");
      expect(await webhooks.get(other, uuid)).toBeNull();
      expect(await webhooks.update(other, uuid, { enabled: false })).toBeNull();
      expect(await webhooks.rotateSecret(other, uuid, 0)).toBeNull();
      expect(await webhooks.remove(other, uuid)).toBeNull();
      expect(await webhooks.list(other)).toEqual([]);
      expect((await webhooks.load(id))?.webhook.enabled).toBe(true);
    });

    test("are never more than the limit, however many are made at once; removed ones do not count", async () => {
      const { webhooks } = under.store;
      const organizationId = await addOrganization(under.store);
      const other = await addOrganization(under.store, "other");
      await addWebhook(under.store, other);
      const input = { organizationId, url: "https://a.example", events: ["red_tier" as const] };
      const make = () => webhooks.create({ ...input, format: "json" }, 3);
      const made = (await Promise.all(Array.from({ length: 10 }, make))).filter((one) => one !== null);
      expect(made).toHaveLength(3);
      expect(await make()).toBeNull();
      await webhooks.remove(organizationId, made[0]?.webhook.uuid as string);
      expect(await make()).not.toBeNull();
    });

    test("change where they are told to; turning one off notes who did, and on again clears that", async () => {
      const { webhooks } = under.store;
      const organizationId = await addOrganization(under.store);
      const before = await addWebhook(under.store, organizationId);
      const { uuid } = before;
      expect(await webhooks.update(organizationId, uuid, {})).toEqual(before);
      const changed = { ...before, url: "https://b.example", events: ["yellow_tier" as const] };
      expect(
        await webhooks.update(organizationId, uuid, { url: "https://b.example", events: ["yellow_tier"] }),
      ).toEqual(changed);
      expect(await webhooks.update(organizationId, uuid, { enabled: false })).toEqual({
        ...changed,
        enabled: false,
        disabledReason: "owner",
      });
      expect(await webhooks.update(organizationId, uuid, { enabled: true })).toEqual(changed);
    });

    test("are checked as they would be, and stay as they were when that throws", async () => {
      const { webhooks } = under.store;
      const organizationId = await addOrganization(under.store);
      const before = await addWebhook(under.store, organizationId);
      const seen: Webhook[] = [];
      const refuse = (after: Webhook): void => {
        seen.push(after);
        throw new RangeError("no");
      };
      const update = webhooks.update(organizationId, before.uuid, { format: "teams" }, refuse);
      await expect(update).rejects.toThrow(RangeError);
      expect(seen).toEqual([{ ...before, format: "teams" }]);
      expect(await webhooks.get(organizationId, before.uuid)).toEqual(before);
      expect(under.store.fault()).toBeNull();
    });

    test("changed twice at once never end as a mixture that the check forbids", async () => {
      const { webhooks } = under.store;
      const organizationId = await addOrganization(under.store);
      const { uuid } = await addWebhook(under.store, organizationId, "https://a.example/?key=1");
      const check = ({ url, format }: Webhook): void => {
        if (format === "pagerduty" && !url.includes("key")) throw new RangeError("no key");
      };
      const outcomes = await Promise.allSettled([
        webhooks.update(organizationId, uuid, { format: "pagerduty" }, check),
        webhooks.update(organizationId, uuid, { url: "https://a.example/" }, check),
      ]);
      expect(outcomes.filter(({ status }) => status === "rejected")).toHaveLength(1);
      check((await webhooks.get(organizationId, uuid)) as Webhook);
    });

    test("rotate their secrets: those before count until their overlap ends, and are never too many", async () => {
      const organizationId = await addOrganization(under.store);
      const { id, uuid } = await addWebhook(under.store, organizationId);
      const rotate = (overlapMs: number) =>
        under.store.webhooks.rotateSecret(organizationId, uuid, overlapMs);
      const secrets = [(await under.store.webhooks.load(id))?.secret as string];
      const now = under.store.clock.wall();
      for (const minutes of [1, 2, 3]) {
        const rotated = await rotate(minutes * 60_000);
        secrets.unshift(rotated !== null && "secret" in rotated ? rotated.secret : "none");
      }
      const loaded = await (await under.world.reopen()).webhooks.load(id);
      expect([loaded?.secret, ...(loaded?.rotatedSecrets ?? []).map(({ secret }) => secret)]).toEqual(
        secrets,
      );
      const ends = (loaded?.rotatedSecrets ?? []).map(({ expiresAt }) =>
        Math.round((expiresAt - now) / 60_000),
      );
      expect(ends).toEqual([3, 2, 1]);
      const refused = await rotate(60_000);
      const until = refused !== null && "tooManyUntil" in refused ? refused.tooManyUntil : 0;
      expect(until - now).toBeWithin(55_000, 65_000);
      expect((await under.store.webhooks.load(id))?.secret).toBe(secrets[0] as string);
      under.world.skipTime(61_000);
      expect(await rotate(60_000)).toMatchObject({ secret: expect.any(String) });
    });

    test("are gone once removed, with their secrets", async () => {
      const { webhooks } = under.store;
      const organizationId = await addOrganization(under.store);
      const { id, uuid } = await addWebhook(under.store, organizationId);
      expect((await webhooks.remove(organizationId, uuid))?.uuid).toBe(uuid);
      expect(await webhooks.get(organizationId, uuid)).toBeNull();
      expect(await webhooks.load(id)).toBeNull();
      expect(await webhooks.list(organizationId)).toEqual([]);
      expect(await webhooks.all()).toEqual([]);
      expect(await webhooks.update(organizationId, uuid, { enabled: true })).toBeNull();
      expect(await webhooks.remove(organizationId, uuid)).toBeNull();
    });

    test("are as they were when the store cannot write", async () => {
      const { webhooks } = under.store;
      const organizationId = await addOrganization(under.store);
      const before = await addWebhook(under.store, organizationId);
      const { id, uuid } = before;
      const secret = (await webhooks.load(id))?.secret as string;
      under.world.breakWrites();
      const failures = await Promise.all([
        addWebhook(under.store, organizationId).catch(isStoreFault),
        webhooks.update(organizationId, uuid, { enabled: false }).catch(isStoreFault),
        webhooks.rotateSecret(organizationId, uuid, 1).catch(isStoreFault),
        webhooks.remove(organizationId, uuid).catch(isStoreFault),
      ]);
      expect(failures).toEqual([true, true, true, true]);
      under.world.mendWrites();
      expect(await webhooks.list(organizationId)).toEqual([before]);
      expect((await webhooks.load(id))?.secret).toBe(secret);
    });
  });
}
