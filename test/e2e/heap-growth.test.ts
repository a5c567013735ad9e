import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { BINARY } from "../support/daemon.ts";
import { cleanUp, startBinary } from "../support/e2e.ts";

afterEach(cleanUp);

const SETTING = "BUN_JSC_forceRAMSize=";

function told(pid: number, what: "environ" | "cmdline"): string[] {
  return readFileSync(`/proc/${pid}/${what}`, "utf8").split("\0").slice(0, -1);
}

const settings = (pid: number): string[] => told(pid, "environ").filter((entry) => entry.startsWith(SETTING));

test("on a large machine the daemon collects garbage as on a small one, and stays the same process", async () => {
  const { pid } = await startBinary();
  expect(settings(pid)).toEqual(process.constrainedMemory() < 16e9 ? [] : [`${SETTING}8000000000`]);
  expect(told(pid, "cmdline").slice(0, 2)).toEqual([BINARY, "serve"]);
  expect(readFileSync(`/proc/${pid}/comm`, "utf8").trim()).toBe("armorhooks");
});

test("what its environment says of that is left alone", async () => {
  const { pid } = await startBinary({ env: { BUN_JSC_forceRAMSize: "4000000000" } });
  expect(settings(pid)).toEqual([`${SETTING}4000000000`]);
});
