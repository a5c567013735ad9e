import { beforeEach, describe, expect, test } from "bun:test";
import { createDirectory, type Directory, raiseVersion } from "../../../src/store/postgres/directory.ts";
import type { Query } from "../../../src/store/postgres/pool.ts";

interface Row {
  id: number;
  organizationId: number;
  events: string;
  filter: string | null;
  isOn: boolean;
  changedIn: number;
}

const RED = 2;
const GREEN = 0;
let version: number;
let rows: Row[];
let organizations: { id: number; uuid: string }[];
let asked: string[];
let directory: Directory;

/** The database, as far as the directory asks it. */
const query = (async (text: string, [since = 0]: readonly number[] = []) => {
  asked.push(text);
  const answer = text.includes("FROM organizations")
    ? organizations.map((one) => ({ ...one }))
    : text.includes("FROM webhooks")
      ? rows.filter(({ changedIn }) => changedIn > since)
      : [{ version }];
  return Object.assign(answer, { count: answer.length });
}) as unknown as Query;

function change(id: number, fields: Partial<Row> = {}): void {
  version += 1;
  const before = rows.find((row) => row.id === id) ?? {
    id,
    organizationId: 1,
    events: '["red_tier"]',
    filter: null,
    isOn: true,
  };
  rows = [...rows.filter((row) => row.id !== id), { ...before, ...fields, changedIn: version }];
}

const body = (score: number) =>
  JSON.stringify({ event: "red_tier", tier: "red", risk_score: score, signals: [] });
const subscribers = (type = RED, organizationId = 1, score = 85) =>
  directory.subscribers(organizationId, type, body(score));

beforeEach(() => {
  [version, rows, asked] = [7, [], []];
  organizations = [{ id: 1, uuid: "one" }];
  directory = createDirectory();
});

describe("what is known in memory of organizations and subscriptions", () => {
  test("is nothing before it was read, then who subscribes to what, in the order of ids", async () => {
    change(12);
    change(3, { events: '["green_tier","red_tier"]' });
    change(5, { organizationId: 2 });
    change(8, { isOn: false });
    expect([directory.version(), subscribers()]).toEqual([-1, []]);
    expect(await directory.refresh(query)).toEqual([12, 3, 5, 8]);
    expect(directory.version()).toBe(version);
    expect([subscribers(), subscribers(GREEN), subscribers(RED, 2)]).toEqual([[3, 12], [3], [5]]);
    expect(directory.organizations()).toEqual(organizations as never);
  });

  test("asks for no more than the version while nothing has changed", async () => {
    change(3);
    await directory.refresh(query);
    asked = [];
    const [list, known] = [directory.organizations(), subscribers()];
    expect(await directory.refresh(query)).toEqual([]);
    expect(asked).toHaveLength(1);
    expect([directory.organizations(), subscribers()]).toEqual([list, known]);
    // An organization that was renamed, say, changes no subscription.
    version += 1;
    expect(await directory.refresh(query)).toEqual([]);
    expect(directory.organizations()).toBe(list);
    expect(subscribers()).toBe(known);
  });

  test("reads only what changed since, and forgets who was switched off", async () => {
    for (const id of [3, 4]) change(id);
    await directory.refresh(query);
    change(4, { isOn: false });
    organizations.push({ id: 2, uuid: "two" });
    expect(await directory.refresh(query)).toEqual([4]);
    expect([subscribers(), directory.organizations().length]).toEqual([[3], 2]);
  });

  test("asks a filter what of an event passes", async () => {
    change(3, { filter: '{"min_risk_score":80}' });
    await directory.refresh(query);
    expect([subscribers(RED, 1, 90), subscribers(RED, 1, 10)]).toEqual([[3], []]);
  });

  test("has a change that came between its questions read again", async () => {
    change(3);
    const between = (async (text: string, values?: readonly number[]) => {
      const rowsThen = await query(text, values);
      if (text.includes("AS version") && rows.length === 1) change(4);
      return rowsThen;
    }) as unknown as Query;
    await directory.refresh(between);
    expect(subscribers()).toEqual([3, 4]);
    expect(await directory.refresh(query)).toEqual([4]);
  });
});

test("a change raises the version and answers it", async () => {
  const raise = (async () => Object.assign([{ version: 9 }], { count: 1 })) as unknown as Query;
  expect(await raiseVersion(raise)).toBe(9);
});
