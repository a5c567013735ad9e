import { expect, test } from "bun:test";
import { join } from "node:path";
import { PYTHONS } from "../support/pythons.ts";

const DIRECTORY = join(import.meta.dir, "../../clients/python");

test.each(PYTHONS)(
  "the Python package's own tests pass with %s",
  async (python) => {
    const child = Bun.spawn(
      [python, "-W", "error::ResourceWarning", "-m", "unittest", "discover", "-s", "tests"],
      {
        cwd: DIRECTORY,
        env: { ...process.env, PYTHONPATH: "src", PYTHONDONTWRITEBYTECODE: "1" },
        stdout: "ignore",
        stderr: "pipe",
      },
    );
    const output = await new Response(child.stderr).text();
    if ((await child.exited) !== 0) throw new Error(output);
    expect(output).toMatch(/^Ran [1-9]\d* tests/m);
  },
  60_000,
);
