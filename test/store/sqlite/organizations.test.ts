import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createClock } from "../../../src/clock.ts";
import {
  createOrganizations,
  insertOrganization,
  type SqliteOrganizations,
} from "../../../src/store/sqlite/organizations.ts";
import type { SqliteStore } from "../../../src/store/sqlite/store.ts";
import { newDir, removeDir } from "../../support/daemon.ts";
import { openTestStore } from "../seed.ts";

const WALL = 1_750_000_000_000;

let dir: string;
let store: SqliteStore;
let organizations: SqliteOrganizations;

beforeEach(() => {
  dir = newDir();
  store = openTestStore(dir);
  organizations = createOrganizations(store.database, createClock(null, { wall: () => WALL }));
});
afterEach(async () => {
  await store.close();
  removeDir(dir);
});

const known = () => organizations.known().map(({ name }) => name);
const NEW = { name: "one", plan: "personal" } as const;

describe("the organizations that are known", () => {
  test("are read at the first question, and then only when they are refreshed", async () => {
    await organizations.create(NEW);
    expect(known()).toEqual(["one"]);
    await organizations.create({ ...NEW, name: "two" });
    expect(known()).toEqual(["one"]);
    await organizations.refresh();
    expect(known()).toEqual(["one", "two"]);
  });

  test("are the same list until something changes here", async () => {
    const { uuid, createdAt } = await organizations.create(NEW);
    expect(createdAt).toBe(WALL);
    const first = organizations.known();
    await organizations.refresh();
    expect(organizations.known()).toBe(first);
    await organizations.update(uuid, { plan: "enterprise" });
    await organizations.refresh();
    expect(organizations.known()).toMatchObject([{ plan: "enterprise" }]);
  });

  test("show what was made past them once they are told of it", async () => {
    await organizations.create(NEW);
    expect(known()).toEqual(["one"]);
    store.database.transaction("durable", () =>
      insertOrganization(store.database.orm, { ...NEW, name: "two" }, WALL),
    );
    await organizations.refresh();
    expect(known()).toEqual(["one"]);
    organizations.changed();
    await organizations.refresh();
    expect(known()).toEqual(["one", "two"]);
  });

  test("show what another connection has changed, without being told", async () => {
    const { uuid } = await organizations.create(NEW);
    expect(known()).toEqual(["one"]);
    const beside = openTestStore(dir);
    await beside.organizations.update(uuid, { name: "renamed" });
    await beside.close();
    await organizations.refresh();
    expect(known()).toEqual(["renamed"]);
  });
});
