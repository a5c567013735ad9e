import { expect, test } from "bun:test";
import { run } from "../../../release/run.ts";
import { goProgram } from "../../support/release/go-programs.ts";
import { filesBelow } from "../../support/sources.ts";

const CHECKER = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.9";

test("the hosted workflows are without a fault", async () => {
  const files = filesBelow(".github/workflows");
  expect(files.length).toBeGreaterThan(0);
  expect(await run([await goProgram(CHECKER), "-no-color", ...files])).toBe("");
}, 120_000);

test("the shell scripts have no fault of syntax", async () => {
  const scripts = [...filesBelow("deploy", "release").filter((path) => path.endsWith(".sh")), ".ci/run"];
  expect(scripts.length).toBeGreaterThan(4);
  for (const script of scripts) await run(["bash", "-n", script]);
});
