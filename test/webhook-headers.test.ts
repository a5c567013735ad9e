import { describe, expect, test } from "bun:test";
import { headersProblem, hidden, revealed } from "../src/webhook-headers.ts";

describe("header fields", () => {
  test.each<[string, Record<string, string>]>([
    ["none", {}],
    ["authorization", { authorization: "Bearer abc" }],
    ["an empty value", { "x-empty": "" }],
    [
      "every printable character",
      { "x-all": Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join("") },
    ],
    ["accept, which is the webhook's to say", { accept: "text/plain" }],
    ["16 of them", Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`x-${i}`, "v"]))],
    ["4 KiB in all", { "x-long": "v".repeat(4090) }],
  ])("may be %s", (_what, headers) => {
    expect(headersProblem(headers)).toBeNull();
  });

  test.each([
    "host",
    "Connection",
    "transfer-encoding",
    "TE",
    "trailer",
    "upgrade",
    "expect",
    "user-agent",
    "content-type",
    "Content-Length",
    "webhook-id",
    "webhook-anything",
    "proxy-authorization",
  ])("must not be %s", (name) => {
    expect(headersProblem({ [name]: "v" })).toBe(
      `headers must not set ${name.toLowerCase()}, which is armorhooks' own`,
    );
  });

  test.each<[string, Record<string, string>, RegExp]>([
    ["17 of them", Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`x-${i}`, "v"])), /at most 16/],
    ["more than 4 KiB", { "x-long": "v".repeat(4091) }, /at most 4096 characters/],
    ["an empty name", { "": "v" }, /names of letters/],
    ["a name with a blank", { "x y": "v" }, /names of letters/],
    ["a name with a colon", { "x:y": "v" }, /names of letters/],
    ["a name with a line break", { "x\r\ny": "v" }, /names of letters/],
    ["a name beyond ASCII", { größe: "v" }, /names of letters/],
    ["a value with a line break", { "x-y": "a\r\nhost: b" }, /^headers\.x-y must be printable ASCII$/],
    ["a value with a tab", { "x-y": "a\tb" }, /printable/],
    ["a value beyond ASCII", { "x-y": "é" }, /printable/],
    ["a value with NUL", { "x-y": "\0" }, /printable/],
    ["the same name twice", { "x-y": "a", "X-Y": "b" }, /must name x-y once/],
  ])("must not be %s", (_what, headers, problem) => {
    expect(headersProblem(headers)).toMatch(problem);
  });

  test("are shown without their values", () => {
    expect(hidden(["authorization", "X-Key"])).toEqual({ authorization: "***", "X-Key": "***" });
  });

  test("keep the value that a hidden one stands for, and lose what is not named", () => {
    const present = { Authorization: "Bearer abc", "x-old": "1" };
    expect(revealed({ authorization: "***", "x-new": "2" }, present)).toEqual({
      authorization: "Bearer abc",
      "x-new": "2",
    });
    expect(revealed({ "x-new": "***" }, present)).toBe("x-new");
  });
});
