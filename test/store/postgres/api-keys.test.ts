import { beforeEach, expect, test } from "bun:test";
import { createClock } from "../../../src/clock.ts";
import { createApiKeys } from "../../../src/store/postgres/api-keys.ts";
import type { PostgresDatabase } from "../../../src/store/postgres/database.ts";

const KEY = `ia_sk_${"0".repeat(48)}`;
const OTHER_KEY = `ia_sk_${"1".repeat(48)}`;

let version: number;
let isEnabled: boolean;
/** How often the key was looked up. */
let asked: number;
/** What happens while an answer is under way. */
let meanwhile: () => void;
/** Whether a key is known and enabled. */
let identify: (key?: string) => Promise<boolean | undefined>;

beforeEach(() => {
  [version, isEnabled, asked, meanwhile] = [1, true, 0, () => {}];
  const query = async (text: string) => {
    if (!text.includes("FROM api_keys")) return [{ id: 1 }];
    asked += 1;
    const row = { id: 1, organizationId: 1, enabled: isEnabled };
    meanwhile();
    return [row];
  };
  const keys = createApiKeys({ main: { query }, fault: () => null } as unknown as PostgresDatabase, {
    clock: createClock(null),
    directory: { version: () => version },
    changed: async () => {},
    isResident: true,
  });
  identify = async (key = KEY) => (await keys.identify(key))?.key.enabled;
});

test("a key that was looked up is remembered until something changes", async () => {
  expect([await identify(), await identify(), asked]).toEqual([true, true, 1]);
  [version, isEnabled] = [2, false];
  expect([await identify(), await identify(), asked]).toEqual([false, false, 2]);
});

test("a key that is revoked elsewhere while it is looked up is not remembered as it was", async () => {
  meanwhile = () => {
    [version, isEnabled, meanwhile] = [2, false, () => {}];
    identify(OTHER_KEY);
  };
  expect(await identify()).toBe(true);
  expect(await identify()).toBe(false);
});
