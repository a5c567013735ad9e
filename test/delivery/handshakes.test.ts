import { expect, test } from "bun:test";
import { createHandshakes } from "../../src/delivery/http/handshakes.ts";

test("handshakes are under way until they end, and for about a second when they do not", () => {
  const handshakes = createHandshakes();
  const first = handshakes.begin(1_000_000);
  const second = handshakes.begin(1_000_300);
  handshakes.begin(1_000_300);
  expect(handshakes.underWay(1_000_800)).toBe(3);
  handshakes.end(second);
  expect(handshakes.underWay(1_000_800)).toBe(2);
  expect(handshakes.underWay(1_001_050)).toBe(1);
  handshakes.end(first);
  expect(handshakes.underWay(1_001_050)).toBe(1);
  expect(handshakes.underWay(1_001_400)).toBe(0);
});

test("after a long rest none is left of those before", () => {
  const handshakes = createHandshakes();
  const hung = [1, 200, 400, 999].map((now) => handshakes.begin(now));
  expect(handshakes.underWay(900_000_000)).toBe(0);
  for (const one of hung) handshakes.end(one);
  expect(handshakes.underWay(900_000_000)).toBe(0);
});
