import { describe, expect, test } from "bun:test";
import { isStoreFault } from "../../../src/store/faults.ts";
import { until } from "../../support/daemon.ts";
import { eachWithWorld, type Harness, SOON } from "./harness.ts";

const NOBODY = "00000000-0000-4000-8000-000000000000";

export function organizationsConform(harness: Harness): void {
  describe("organizations", () => {
    const under = eachWithWorld(harness);

    test("are listed in the order in which they were made, and stay", async () => {
      const { organizations, clock } = under.store;
      const first = await organizations.create({ name: "one", plan: "personal" });
      const second = await organizations.create({ name: "two", plan: "enterprise" });
      expect(first).toEqual({
        id: expect.any(Number),
        uuid: expect.stringMatching(/^[0-9a-f]{8}-/),
        name: "one",
        plan: "personal",
        createdAt: expect.any(Number),
      });
      expect(Math.abs(first.createdAt - clock.wall())).toBeLessThan(10_000);
      const again = await under.world.reopen();
      expect(await again.organizations.list()).toEqual([first, second]);
      expect(await again.organizations.get(second.uuid)).toEqual(second);
      expect(again.organizations.known()).toEqual([first, second]);
    });

    test("change where they are told to, and nowhere else", async () => {
      const { organizations } = under.store;
      const { uuid } = await organizations.create({ name: "one", plan: "personal" });
      const other = await organizations.create({ name: "two", plan: "personal" });
      expect(await organizations.update(uuid, { plan: "professional" })).toMatchObject({
        name: "one",
        plan: "professional",
      });
      expect(await organizations.update(uuid, { name: "three" })).toMatchObject({
        name: "three",
        plan: "professional",
      });
      expect(await organizations.update(uuid, {})).toMatchObject({ name: "three" });
      expect(await organizations.get(other.uuid)).toEqual(other);
      expect(await organizations.update(NOBODY, { name: "x" })).toBeNull();
      expect(await organizations.get(NOBODY)).toBeNull();
    });

    test("are known without a wait: one list until something changes, and then the changed one", async () => {
      const { organizations } = under.store;
      expect(organizations.known()).toEqual([]);
      const made = await organizations.create({ name: "one", plan: "personal" });
      await organizations.refresh();
      const known = organizations.known();
      expect(known).toEqual([made]);
      await organizations.refresh();
      expect(organizations.known()).toBe(known);
    });

    test("that are made or changed elsewhere are known within a second, or as soon as one asks", async () => {
      const { organizations } = under.store;
      const beside = await under.world.beside();
      const { uuid } = await beside.organizations.create({ name: "one", plan: "personal" });
      await organizations.refresh();
      expect(organizations.known()).toMatchObject([{ uuid, plan: "personal" }]);
      await beside.organizations.update(uuid, { plan: "enterprise" });
      await until("it is known", () => organizations.known()[0]?.plan === "enterprise", SOON);
    });

    test("are as they were when the store cannot write", async () => {
      const { organizations } = under.store;
      const before = await organizations.create({ name: "one", plan: "personal" });
      under.world.breakWrites();
      const failures = await Promise.all([
        organizations.create({ name: "two", plan: "personal" }).catch(isStoreFault),
        organizations.update(before.uuid, { name: "three" }).catch(isStoreFault),
      ]);
      expect(failures).toEqual([true, true]);
      under.world.mendWrites();
      expect(await organizations.list()).toEqual([before]);
    });
  });
}
