import { beforeEach, describe, expect, test } from "bun:test";
import { type Claims, createClaims } from "../../../src/store/sqlite/claims.ts";

let claims: Claims;

beforeEach(() => {
  claims = createClaims();
});

describe("claims", () => {
  test("are counted by webhook, each once", () => {
    claims.add(1, 10);
    claims.add(1, 10);
    claims.add(1, 11);
    claims.add(2, 10);
    expect([claims.count(1), claims.count(2), claims.count(3)]).toEqual([2, 1, 0]);
    claims.free(1, 10);
    claims.free(1, 99);
    expect([claims.has(1, 10), claims.has(1, 11), claims.has(2, 10)]).toEqual([false, true, true]);
  });

  test("say up to where fresh deliveries were handed out, as long as one is held", () => {
    expect(claims.freshThrough(1)).toBe(0);
    claims.addFresh(1, 10);
    claims.noteFresh(1, 20);
    claims.noteFresh(1, 15);
    expect([claims.freshThrough(1), claims.freshThrough(2)]).toEqual([20, 0]);
    claims.addFresh(1, 30);
    claims.free(1, 30);
    expect(claims.freshThrough(1)).toBe(30);
    // With nothing held the table is asked from its beginning.
    claims.free(1, 10);
    expect([claims.freshThrough(1), claims.count(1)]).toEqual([0, 0]);
  });

  test("that are given back are looked for again, however many were handed out after them", () => {
    for (const id of [10, 20, 30]) claims.addFresh(1, id);
    claims.giveBack(1, 20);
    expect([claims.has(1, 20), claims.freshThrough(1)]).toEqual([false, 19]);
    claims.giveBack(1, 30);
    expect(claims.freshThrough(1)).toBe(19);
    claims.giveBack(1, 10);
    expect([claims.freshThrough(1), claims.count(1)]).toEqual([0, 0]);
  });

  test("remember that what they hold was retried by hand, until it is free", () => {
    claims.add(1, 10);
    expect([claims.renew(1, 10), claims.renew(1, 11), claims.renew(2, 10)]).toEqual([true, false, false]);
    expect([claims.isRenewed(10), claims.isRenewed(11)]).toEqual([true, false]);
    claims.free(1, 10);
    claims.add(1, 10);
    expect(claims.isRenewed(10)).toBe(false);
  });
});
