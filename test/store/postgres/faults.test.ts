import { expect, test } from "bun:test";
import { StoreFault } from "../../../src/store/faults.ts";
import { isPostgresFault, mayPass, outward } from "../../../src/store/postgres/faults.ts";

function postgresError(errno?: string): Error {
  const error = Object.assign(new Error("from the server"), {
    name: "PostgresError",
    code: "ERR_POSTGRES",
    errno,
  });
  return error;
}

test.each([
  ["a connection that was lost", postgresError(), true],
  ["a server that shuts down", postgresError("57P01"), true],
  ["a full disk", postgresError("53100"), true],
  ["a deadlock", postgresError("40P01"), true],
  ["a read-only transaction", postgresError("25006"), true],
  ["a password that is refused", postgresError("28P01"), true],
  ["a right that the role lacks", postgresError("42501"), true],
  ["a row that is there already", postgresError("23505"), false],
  ["a table that is not there", postgresError("42P01"), false],
  [
    "a certificate that is not trusted",
    Object.assign(new Error("self signed"), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" }),
    true,
  ],
  ["a mistake of ours", new TypeError("x is not a function"), false],
  ["something thrown that is no error", "text", false],
  ["a fault that was recognised before", new StoreFault("away"), true],
])("%s", (_, error, isFault) => {
  expect(isPostgresFault(error)).toBe(isFault);
  expect(outward(error) instanceof StoreFault).toBe(isFault);
});

test.each([
  ["a server that is not there", postgresError(), true],
  ["a server that starts", postgresError("57P03"), true],
  ["too many connections", postgresError("53300"), true],
  ["a replica that is not yet the first", postgresError("25006"), true],
  ["a password that is refused", postgresError("28P01"), false],
  ["a database that nobody made", postgresError("3D000"), false],
  ["a right that the role lacks", postgresError("42501"), false],
  [
    "a certificate that is not trusted",
    Object.assign(new Error("self signed"), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" }),
    false,
  ],
  [
    "a server without encryption",
    Object.assign(postgresError(), { code: "ERR_POSTGRES_TLS_NOT_AVAILABLE" }),
    false,
  ],
])("%s may be over by itself, or not", (_, error, expected) => {
  expect(mayPass(outward(error) as StoreFault)).toBe(expected);
});

test("what the store itself found out may be over by itself", () => {
  expect(mayPass(new StoreFault("the database does not answer"))).toBe(true);
});
