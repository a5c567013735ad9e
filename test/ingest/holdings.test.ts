import { expect, test } from "bun:test";
import { createHoldings } from "../../src/ingest/holdings.ts";

test("sums up what owners hold now, whatever they held before", () => {
  const holdings = createHoldings<string>();
  holdings.note("a", { queued: 10, stuck: 0 }, true);
  holdings.note("b", { queued: 0, stuck: 5 }, false);
  holdings.note("a", { queued: 4, stuck: 1 }, true);
  expect([holdings.queued, holdings.stuck]).toEqual([4, 6]);
  holdings.note("a", { queued: 0, stuck: 0 }, true);
  expect([holdings.queued, holdings.stuck]).toEqual([0, 5]);
  holdings.forget("b");
  holdings.forget("nobody");
  expect([holdings.queued, holdings.stuck, holdings.longestStuck()]).toEqual([0, 0, undefined]);
});

test("knows who has been stuck longest: whoever has made progress goes to the end", () => {
  const holdings = createHoldings<string>();
  for (const owner of ["a", "b", "c"]) holdings.note(owner, { queued: 0, stuck: 1 }, false);
  expect(holdings.longestStuck()).toBe("a");
  holdings.note("a", { queued: 0, stuck: 9 }, false);
  expect(holdings.longestStuck()).toBe("a");
  holdings.note("a", { queued: 0, stuck: 9 }, true);
  expect(holdings.longestStuck()).toBe("b");
  holdings.note("b", { queued: 3, stuck: 0 }, false);
  holdings.forget("c");
  expect(holdings.longestStuck()).toBe("a");
});
