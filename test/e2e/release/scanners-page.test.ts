import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { run } from "../../../release/run.ts";
import { cleanUp, emptyDir, startAgain, startBinary } from "../../support/e2e.ts";
import { blockOf } from "../../support/markdown.ts";

afterEach(cleanUp);

const PAGE = "docs/scanners.md";

test("the line by hand is acked", async () => {
  const daemon = await startBinary();
  const line = blockOf(PAGE, "By hand", "sh").replace("/run/armorhooks/events.sock", daemon.socket);
  expect(JSON.parse(await run(["sh", "-c", line]))).toMatchObject({ ok: true, deliveries: 0 });
});

test("the Go program is as gofmt has it, sends its events, and waits for a daemon that is not there", async () => {
  const directory = emptyDir();
  await Bun.write(join(directory, "main.go"), blockOf(PAGE, "In Go", "go"));
  await Bun.write(join(directory, "go.mod"), "module scanner\n\ngo 1.22\n");
  expect(await run(["gofmt", "-l", "."], { cwd: directory })).toBe("");
  await run(["go", "build", "-o", "scanner", "."], { cwd: directory });

  const daemon = await startBinary();
  await daemon.stop("SIGKILL");
  const sending = run(["./scanner", daemon.socket], { cwd: directory });
  await Bun.sleep(100);
  await startAgain(daemon);
  const first = (await sending).trim().split("\n");
  expect(first.map((line) => line.split(" ").slice(1))).toEqual(Array(3).fill(["0", "false"]));

  const again = (await run(["./scanner", daemon.socket], { cwd: directory })).trim().split("\n");
  expect(again).toEqual(first.map((line) => line.replace("false", "true")));
}, 60_000);
