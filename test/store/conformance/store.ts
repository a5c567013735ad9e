import { describe, expect, test } from "bun:test";
import { isStoreFault } from "../../../src/store/faults.ts";
import { until } from "../../support/daemon.ts";
import { addOrganization, eachWithWorld, type Harness, SOON } from "./harness.ts";

const FIRST = {
  organization: { name: "default", plan: "enterprise" as const },
  key: { name: "bootstrap", rateLimitPerMinute: 60, expiresAt: null },
};

export function storeConforms(harness: Harness): void {
  describe("a store", () => {
    const under = eachWithWorld(harness);

    test("says that it cannot write, and finds out by itself that it can again", async () => {
      expect(under.store.fault()).toBeNull();
      under.world.breakWrites();
      expect(await addOrganization(under.store).catch(isStoreFault)).toBe(true);
      expect(under.store.fault()).toEqual(expect.any(String));
      under.world.mendWrites();
      await until("it can write again", () => under.store.fault() === null, SOON);
    });

    test("gives ids that only grow, over restarts too, and knows them by their outside form", async () => {
      const { ids } = under.store;
      const given = Array.from({ length: 1_000 }, () => ids.next());
      expect(given).toEqual(given.toSorted((a, b) => a - b));
      expect(new Set(given).size).toBe(1_000);
      const last = given.at(-1) as number;
      const text = ids.format(last);
      const bytes = new Uint8Array(40);
      ids.write(last, bytes, 2);
      expect(new TextDecoder().decode(bytes.subarray(2, 38))).toBe(text);
      under.world.skipTime(10);
      const again = (await under.world.reopen()).ids;
      expect(again.next()).toBeGreaterThan(last);
      expect(again.parse(text)).toBe(last);
      expect(again.format(last)).toBe(text);
    });

    test("does not know ids of another installation", async () => {
      const other = await harness.open();
      try {
        expect(under.store.ids.parse(other.store.ids.format(other.store.ids.next()))).toBeNull();
        expect(under.store.ids.parse("nonsense")).toBeNull();
      } finally {
        await other.end();
      }
    });

    test("has a schedule clock that goes on over a restart", async () => {
      const before = under.store.clock.schedule();
      under.world.skipTime(60_000);
      const { clock } = await under.world.reopen();
      expect(clock.schedule() - before).toBeWithin(60_000, 70_000);
    });

    test("makes the first organization and its key once, and shows them before", async () => {
      const shown: string[] = [];
      const made = await under.store.bootstrap(FIRST, ({ rawKey }) => shown.push(rawKey));
      expect(shown).toEqual([made?.rawKey as string]);
      expect((await under.store.apiKeys.identify(made?.rawKey as string))?.organization).toEqual(
        (made as NonNullable<typeof made>).organization,
      );
      expect(await under.store.bootstrap(FIRST, () => shown.push("again"))).toBeNull();
      expect(shown).toHaveLength(1);
    });

    test("makes none when the key cannot be shown", async () => {
      const hide = (): never => {
        throw new RangeError("nobody reads this");
      };
      await expect(under.store.bootstrap(FIRST, hide)).rejects.toThrow(RangeError);
      expect(await under.store.organizations.list()).toEqual([]);
      expect(under.store.fault()).toBeNull();
    });

    test("derives the same secret for a purpose each time, and another for another", async () => {
      const { secrets } = under.store;
      const secret = secrets.derive("one");
      expect(secret).toMatch(/^[0-9a-f]{64}$/);
      expect(secrets.derive("two")).not.toBe(secret);
      expect((await under.world.reopen()).secrets.derive("one")).toBe(secret);
    });

    test("gives a job to one at a time, and again once it is released", async () => {
      const { leases } = under.store;
      const lease = await leases.hold("prune");
      expect(lease?.held()).toBe(true);
      const second = await under.world.secondDaemon();
      if (second) expect(await second.leases.hold("prune")).toBeNull();
      await lease?.release();
      if (second) expect((await second.leases.hold("prune"))?.held()).toBe(true);
      else expect((await leases.hold("prune"))?.held()).toBe(true);
    });
  });
}
