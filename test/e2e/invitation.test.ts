import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { BINARY, until } from "../support/daemon.ts";
import { atEnd, cleanUp, emptyDir } from "../support/e2e.ts";

afterEach(cleanUp);

/** Runs a command with a terminal as its output, and copies what it writes. */
const WITH_TERMINAL = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";

test("the first start on a terminal prints a link that signs in, and no other start does", async () => {
  const dir = emptyDir();
  const dataDir = join(dir, "data");
  const serve = async (before: string[]): Promise<string> => {
    const command = [...before, BINARY, "serve", "--bootstrap", "--port", "0", "--data-dir", dataDir];
    const child = Bun.spawn(command, { cwd: dir, stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    atEnd(() => child.kill("SIGKILL"));
    let text = "";
    const decoder = new TextDecoder();
    const reading = (async () => {
      for await (const part of child.stdout) text += decoder.decode(part, { stream: true });
    })();
    await until("it is ready", () => text.includes('"msg":"ready"'));
    const { pid } = JSON.parse(text.split("\n").find((line) => line.includes('"msg":"ready"')) as string);
    process.kill(pid, "SIGTERM");
    await reading;
    await child.exited;
    return text;
  };

  const onTerminal = await serve(["python3", "-c", WITH_TERMINAL]);
  const lines = onTerminal.split(/\r?\n/);
  const bootstrapped = JSON.parse(lines.find((line) => line.includes("bootstrapped")) as string);
  const { url } = JSON.parse(lines.find((line) => line.includes('"msg":"ready"')) as string);
  expect(onTerminal).toContain(`${url}/dashboard#key=${bootstrapped.api_key}`);
  // What waits for it reads the ready line as the last of the start.
  expect(onTerminal.indexOf("/dashboard#key=")).toBeLessThan(onTerminal.indexOf('"msg":"ready"'));
  expect(await serve(["python3", "-c", WITH_TERMINAL])).not.toContain("#key=");
}, 30_000);

test("a first start whose output is a file or a pipe prints the key, and no link", async () => {
  const dir = emptyDir();
  const child = Bun.spawn([BINARY, "serve", "--bootstrap", "--port", "0"], { cwd: dir, stdout: "pipe" });
  atEnd(() => child.kill("SIGKILL"));
  let text = "";
  const decoder = new TextDecoder();
  for await (const part of child.stdout) {
    text += decoder.decode(part, { stream: true });
    if (text.includes('"msg":"ready"')) break;
  }
  expect(text).toContain('"api_key":"ia_sk_');
  expect(text).not.toContain("#key=");
}, 30_000);
