import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { TCPSocketListener } from "bun";
import { parseAddress } from "../../../src/store/postgres/address.ts";
import { createPool, type Pool } from "../../../src/store/postgres/pool.ts";

let server: TCPSocketListener;
let pool: Pool;
let hung: number;

/** A server that takes connections and says nothing on them. */
beforeEach(() => {
  hung = 0;
  server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  pool = createPool({
    address: parseAddress(`postgres://someone@127.0.0.1:${server.port}/armorhooks?sslmode=disable`),
    name: "test",
    max: 1,
    limitMs: 100,
    onHung: () => {
      hung += 1;
    },
  });
});
afterEach(async () => {
  await pool.close();
  server.stop(true);
});

describe("of a server that does not answer", () => {
  test.each<[string, () => Promise<unknown>]>([
    ["a statement", () => pool.query("SELECT 1")],
    ["a transaction", () => pool.transaction((query) => query("SELECT 1"))],
  ])("%s is given up after the pool's own limit", async (_, ask) => {
    const began = performance.now();
    await expect(ask()).rejects.toThrow("the connection to the database was closed");
    // The limit, and the beat by which it is looked at.
    expect(performance.now() - began).toBeWithin(100, 2_500);
    expect(hung).toBe(1);
  });

  test("a transaction may have a limit of its own", async () => {
    const began = performance.now();
    await expect(pool.transaction((query) => query("SELECT 1"), 1_200)).rejects.toThrow();
    expect(performance.now() - began).toBeGreaterThan(1_200);
  });
});
