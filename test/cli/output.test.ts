import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createOutput, type Send } from "../../src/cli/output.ts";
import { newDir, removeDir } from "../support/daemon.ts";

const OUTPUT = join(import.meta.dir, "../../src/cli/output.ts");
const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) removeDir(dir);
});

function file(): string {
  const dir = newDir();
  dirs.push(dir);
  return join(dir, "log");
}

/** Has a process write lines of 100 bytes, overwriting each chunk as soon as that is allowed. */
async function run(chunks: number, linesEach: number, into: string) {
  const script = `
    import { createOutput } from ${JSON.stringify(OUTPUT)};
    const output = createOutput();
    let n = 0;
    for (let chunk = 0; chunk < ${chunks}; chunk += 1) {
      let text = "";
      for (let line = 0; line < ${linesEach}; line += 1) text += JSON.stringify({ n: n++ }).padEnd(99) + "\\n";
      const bytes = Buffer.from(text);
      output.write(bytes, () => bytes.fill("x"));
      if (chunk % 7 === 0) await Bun.sleep(0);
    }
    console.error("written");
    await output.finish();`;
  const command = `{ "$0" -e "$1"; echo "exit $?" >&2; } ${into}`;
  const child = Bun.spawn(["sh", "-c", command, process.execPath, script], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [text, said] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { said, lines: text.trimEnd().split("\n") };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

describe("the log on standard output", () => {
  test("comes whole and in order into a file", async () => {
    const path = file();
    const { said } = await run(200, 50, `> '${path}'`);
    expect(said).toBe("written\nexit 0\n");
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line).n)).toEqual(numbers(10_000));
  });

  test("comes whole and in order to a reader", async () => {
    const { said, lines } = await run(200, 50, "| cat");
    expect(said).toBe("written\nexit 0\n");
    expect(lines.map((line) => JSON.parse(line).n)).toEqual(numbers(10_000));
  });

  test("is cut and counted, not waited for, while nobody reads", async () => {
    const { said, lines } = await run(200, 500, "| { sleep 1; echo reading >&2; cat; }");
    expect(said).toBe("written\nreading\nexit 0\n");
    const last = JSON.parse(lines.pop() as string);
    expect(last).toMatchObject({ level: "warn", msg: "log lines dropped" });
    expect(lines.map((line) => JSON.parse(line).n)).toEqual(numbers(lines.length));
    expect(lines.length).toBeGreaterThan(40_000);
    expect(lines.length * 100 + last.bytes).toBe(10_000_000);
  });

  test("ends with its reader, and the process goes on", async () => {
    const { said } = await run(200, 50, "| true");
    expect(said).toBe("written\nexit 0\n");
  });

  test("goes on after a full disk, and says how much is missing", async () => {
    let text = "";
    let room = 6;
    const send: Send = (bytes, done) => {
      const taken = Buffer.from(bytes.subarray(0, room));
      text += taken.toString();
      room -= taken.length;
      const full = taken.length < bytes.length;
      const error = full ? Object.assign(new Error("no space"), { code: "ENOSPC" }) : null;
      setImmediate(done, error, taken.length);
    };
    const output = createOutput(send);
    const say = (text: string) => output.write(Buffer.from(text), () => {});
    say("cut off\n");
    say("lost\n");
    await output.finish();
    say("too\n");
    await output.finish();
    room = 1_000;
    say("first\n");
    say("second\n");
    await output.finish();
    const [cut, first, second, notice = "", ...more] = text.split("\n");
    expect([cut, first, second, ...more]).toEqual(["cut of", "first", "second", ""]);
    expect(JSON.parse(notice)).toMatchObject({ msg: "log lines dropped", bytes: 2 + 5 + 5 });
  });
});
