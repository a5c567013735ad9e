import { expect, test } from "bun:test";
import { createOwnAddresses } from "../../src/delivery/own-addresses.ts";

test("this machine's own addresses are asked for again after a second, and not before", async () => {
  const addresses = createOwnAddresses();
  const first = addresses();
  expect(first).toContain("127.0.0.1");
  expect(addresses()).toBe(first);
  await Bun.sleep(1_050);
  expect(addresses()).not.toBe(first);
  expect(addresses()).toContain("127.0.0.1");
});
