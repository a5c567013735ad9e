import { expect, test } from "bun:test";
import { createHeldBytes } from "../../src/ingest/held-bytes.ts";

test("sums up what owners hold now, whatever they held before", () => {
  const held = createHeldBytes<string>();
  held.note("a", { queued: 10, stuck: 0 }, true);
  held.note("b", { queued: 0, stuck: 5 }, false);
  held.note("a", { queued: 4, stuck: 1 }, true);
  expect([held.queued, held.stuck]).toEqual([4, 6]);
  held.note("a", { queued: 0, stuck: 0 }, true);
  expect([held.queued, held.stuck]).toEqual([0, 5]);
  held.forget("b");
  held.forget("nobody");
  expect([held.queued, held.stuck, held.longestStuck()]).toEqual([0, 0, undefined]);
});

test("knows who has been stuck longest: whoever has made progress goes to the end", () => {
  const held = createHeldBytes<string>();
  for (const owner of ["a", "b", "c"]) held.note(owner, { queued: 0, stuck: 1 }, false);
  expect(held.longestStuck()).toBe("a");
  held.note("a", { queued: 0, stuck: 9 }, false);
  expect(held.longestStuck()).toBe("a");
  held.note("a", { queued: 0, stuck: 9 }, true);
  expect(held.longestStuck()).toBe("b");
  held.note("b", { queued: 3, stuck: 0 }, false);
  held.forget("c");
  expect(held.longestStuck()).toBe("a");
});
