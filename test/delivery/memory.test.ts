import { expect, test } from "bun:test";
import { createMemory } from "../../src/delivery/memory.ts";

test.each([
  ["many small bodies", 8_000, 1],
  ["few large ones", 32, 1024 * 1024],
])("is full of %s, and has room again when one goes", (_, count, length) => {
  const memory = createMemory();
  for (let i = 0; i < count - 1; i += 1) memory.add(length);
  expect(memory.isFull).toBe(false);
  memory.add(length);
  expect(memory.isFull).toBe(true);
  memory.remove(length);
  expect(memory.isFull).toBe(false);
});
