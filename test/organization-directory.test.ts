import { beforeEach, describe, expect, test } from "bun:test";
import type { OrganizationDirectory } from "../src/ingest/events.ts";
import { createOrganizationDirectory } from "../src/organization-directory.ts";
import type { Organization } from "../src/store/organizations.ts";

let known: readonly Organization[];
let directory: OrganizationDirectory;

beforeEach(() => {
  known = [];
  directory = createOrganizationDirectory({ known: () => known, refresh: async () => {} });
});

const organization = (id: number, plan: Organization["plan"] = "enterprise"): Organization => ({
  id,
  uuid: `organization-${id}`,
  name: "acme",
  plan,
  createdAt: 0,
});

describe("the directory of organizations", () => {
  test("finds each by its id, and the only one where none is named", () => {
    expect([directory.find(null), directory.find("organization-1")]).toEqual([null, null]);
    known = [organization(1)];
    const only = { id: 1, uuid: "organization-1", hasAlerts: true };
    expect([directory.find(null), directory.find("organization-1")]).toEqual([only, only]);
    expect(directory.find("organization-2")).toBeNull();
    known = [organization(1), organization(2)];
    expect([directory.find(null), directory.find("organization-2")?.id]).toEqual([null, 2]);
  });

  test("knows from its plan whether it has alerts, and a change of that at once", () => {
    known = [organization(1, "starter")];
    expect(directory.find(null)?.hasAlerts).toBe(false);
    known = [organization(1, "professional")];
    expect(directory.find(null)?.hasAlerts).toBe(true);
  });

  test("gives the same object as long as nothing changes: others keep what they make for it", () => {
    known = [organization(1)];
    expect(directory.find(null)).toBe(directory.find("organization-1"));
  });

  test("says what is wrong with a line that names none, or one that there is not", () => {
    const say = (uuid: string | null) => {
      directory.find(uuid);
      const { code, message } = directory.refusal(uuid);
      return `${code}: ${message}`;
    };
    expect(say(null)).toBe(
      'VALIDATION_ERROR: there is no organization yet; make one with "armorhooks org create"',
    );
    known = [organization(1), organization(2)];
    expect(say(null)).toBe(
      "VALIDATION_ERROR: organization_id is required when there are several organizations",
    );
    expect(say("other")).toBe("NOT_FOUND: organization_id names no organization");
  });
});
