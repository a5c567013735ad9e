import { expect, test } from "bun:test";
import { databaseUrl } from "../../../src/config/database.ts";
import { parseAddress } from "../../../src/store/postgres/address.ts";

test("says where the database is, and never shows the password", () => {
  const address = parseAddress("postgres://me:p%40ss@db.example:6543/hooks?sslmode=verify-full");
  expect(address.options).toMatchObject({
    hostname: "db.example",
    port: 6543,
    username: "me",
    password: "p@ss",
    database: "hooks",
    tls: "verify-full",
  });
  expect([address.shown, address.isPooled]).toEqual(["postgres://me@db.example:6543/hooks", false]);
  expect(parseAddress("postgres://me@[::1]/hooks?pgbouncer=true")).toMatchObject({
    isPooled: true,
    options: { hostname: "::1", port: 5432 },
  });
});

test.each([
  ["postgres://me@db.example", "must name a database"],
  ["postgres:///hooks", "must name a host"],
  ["postgres://me@db.example/hooks?sslmode=maybe", "sslmode"],
  ["postgres://me@db.example/hooks?pool=5", "pool"],
  ["postgres://me@db.example/hooks?pgbouncer=maybe", "pgbouncer in --database must be true or false"],
  ["postgres://me:p%w@db.example/hooks", "percent-encode % as %25"],
  ["postgres://m%e@db.example/hooks", "percent-encode % as %25"],
  ["postgres://me@db.example/ho%ks", "percent-encode % as %25"],
  ["http://db.example/hooks", "must be a URL"],
])("refuses %s: %s", (url, sentence) => {
  expect(() => parseAddress(url)).toThrow(sentence);
});

test("takes user and password from the environment where the URL has none", () => {
  const environment = { PGUSER: "me", PGPASSWORD: "a b/c" };
  const address = parseAddress(databaseUrl("postgres://db.example/hooks", undefined, environment) ?? "");
  expect(address.options).toMatchObject({ username: "me", password: "a b/c" });
  expect(databaseUrl("postgres://you:own@db.example/hooks", undefined, environment)).toBe(
    "postgres://you:own@db.example/hooks",
  );
  expect(databaseUrl(undefined, undefined, environment)).toBeNull();
  expect(() => databaseUrl("postgres//x:hunter2@y", "--to", {})).toThrow(/^--to must be a URL (?!.*hunter2)/);
});
