import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { connectScanner, scan } from "../support/daemon.ts";
import { cleanUp, commandJson, register, startBinary } from "../support/e2e.ts";

/** The command of schemathesis, in the version that requirements.txt names. */
const SCHEMATHESIS = process.env["ARMORHOOKS_TEST_SCHEMATHESIS"] ?? "schemathesis";
const MAX_EXAMPLES = "12";

afterEach(cleanUp);

test("requests made from the document by others are answered as it says", async () => {
  // Its webhooks name hosts of all the world: no request gets further than to a proxy that is not there.
  const daemon = await startBinary({ args: ["--proxy", "http://127.0.0.1:1", "--paused"] });
  const args = [
    "key",
    "create",
    "--org",
    daemon.organizationId,
    "--rate-limit",
    "1000000",
    "--data-dir",
    daemon.dataDir,
  ];
  const { raw_key: key } = await commandJson(daemon.dir, ...args);
  await register(daemon, "https://example.com/hook");
  const scanner = await connectScanner(daemon.socket);
  for (const tier of ["red", "yellow", "green"]) await scanner.send(scan({ tier, id: `scan-${tier}` }));
  scanner.close();

  const options = ["--max-examples", MAX_EXAMPLES, "--generation-deterministic", "--no-color"];
  const child = Bun.spawn(
    [
      SCHEMATHESIS,
      "run",
      `${daemon.url}/swagger/json`,
      "-H",
      `Authorization: Bearer ${key}`,
      // Its answer never ends.
      "--exclude-path",
      "/v1/stream",
      ...options,
    ],
    {
      cwd: daemon.dir,
      env: {
        ...process.env,
        SCHEMATHESIS_HOOKS: "hooks",
        PYTHONPATH: join(import.meta.dir),
        PYTHONDONTWRITEBYTECODE: "1",
      },
      stdout: "pipe",
      stderr: "pipe",
    },
  );
  const [report, errors, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  expect({ code, report: code === 0 ? "" : `${report.replaceAll(key, "[key]")}${errors}` }).toEqual({
    code: 0,
    report: "",
  });
  expect(report).toMatch(/Tested: 1[67]/);
}, 240_000);
