import { expect, test } from "bun:test";
import { createClaims } from "../../../src/store/postgres/claims.ts";

const CLAIMED = { epoch: 3, retries: 0 };

test("claims are known by webhook until they are freed", () => {
  const claims = createClaims();
  claims.add(7, 1, CLAIMED);
  claims.add(7, 2, { epoch: 4, retries: 1 });
  expect([claims.get(7, 1), claims.get(7, 2), claims.get(8, 1)]).toEqual([
    CLAIMED,
    { epoch: 4, retries: 1 },
    undefined,
  ]);
  expect(claims.ids(7)).toEqual([1, 2]);
  claims.free(7, 1);
  expect([claims.ids(7), claims.ids(8)]).toEqual([[2], []]);
});

test("a partition is busy while anything of any of its webhooks is claimed, however often that was", () => {
  const claims = createClaims();
  claims.add(1, 10, CLAIMED);
  claims.add(1, 10, { epoch: 4, retries: 0 });
  claims.add(257, 11, CLAIMED);
  claims.free(1, 10);
  claims.free(1, 10);
  expect([claims.isBusy(1), claims.isBusy(2)]).toEqual([true, false]);
  claims.free(257, 11);
  expect(claims.isBusy(1)).toBe(false);
});

test("what is freed while the table is read is not sure to be pending still, for each who reads", () => {
  const claims = createClaims();
  for (const id of [1, 2, 3]) claims.add(7, id, CLAIMED);
  const first = claims.beginReading(7);
  claims.free(7, 1);
  const second = claims.beginReading(7);
  claims.free(7, 2);
  claims.free(9, 3);
  expect([1, 2, 3].map(first.isSure)).toEqual([false, false, true]);
  expect([1, 2, 3].map(second.isSure)).toEqual([true, false, true]);
  first.end();
  claims.free(7, 3);
  expect([first.isSure(3), second.isSure(3)]).toEqual([true, false]);
});
