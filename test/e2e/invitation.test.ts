import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { BINARY, until } from "../support/daemon.ts";
import { cleanUp, emptyDir } from "../support/e2e.ts";
import { start } from "../support/terminal.ts";

afterEach(cleanUp);

/** Everything that a start writes until it is ready. */
async function serve(dir: string, terminal: boolean): Promise<string> {
  const dataDir = join(dir, "data");
  const command = [BINARY, "serve", "--bootstrap", "--port", "0", "--data-dir", dataDir];
  const { output, exited } = start(command, { cwd: dir, terminal });
  await until("it is ready", () => output().includes('"msg":"ready"'));
  process.kill(lineOf(output(), "ready").pid, "SIGTERM");
  await exited;
  return output();
}

// biome-ignore lint/suspicious/noExplicitAny: what a line holds is what the tests check.
function lineOf(output: string, mark: string): any {
  return JSON.parse(output.split(/\r?\n/).find((line) => line.includes(`"msg":"${mark}`)) ?? "null");
}

test("the first start on a terminal prints a link that signs in, and no other start does", async () => {
  const dir = emptyDir();
  const output = await serve(dir, true);
  const { api_key } = lineOf(output, "bootstrapped");
  const { url } = lineOf(output, "ready");
  expect(output).toContain(`${url}/dashboard#key=${api_key}`);
  // What waits for it reads the ready line as the last of the start.
  expect(output.indexOf("/dashboard#key=")).toBeLessThan(output.indexOf('"msg":"ready"'));
  expect(await serve(dir, true)).not.toContain("#key=");
}, 30_000);

test("a first start whose output is a pipe prints the key, and no link", async () => {
  const output = await serve(emptyDir(), false);
  expect(lineOf(output, "bootstrapped").api_key).toMatch(/^ia_sk_[0-9a-f]{48}$/);
  expect(output).not.toContain("#key=");
}, 30_000);
