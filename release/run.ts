import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";

export const ROOT = join(import.meta.dir, "..");
/** What is fetched and built for making packages, and can be deleted. */
export const CACHE = join(ROOT, "node_modules/.cache/armorhooks-release");

/** Runs a command to its end; throws with what it printed when it fails. Answers its standard output. */
export async function run(
  command: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<string> {
  const child = Bun.spawn([...command], {
    cwd: options.cwd ?? ROOT,
    env: { ...process.env, SOURCE_DATE_EPOCH: String(await sourceDate()), ...options.env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const code = await child.exited;
  if (code === 0) return stdout;
  throw new Error(`${command.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
}

let date: Promise<number> | null = null;

/** The time that every file in every package gets, in Unix seconds: SOURCE_DATE_EPOCH, or that of the latest commit. */
export function sourceDate(): Promise<number> {
  date ??= (async () => {
    const given = process.env["SOURCE_DATE_EPOCH"];
    if (given) return Number(given);
    const log = Bun.spawnSync(["git", "log", "-1", "--format=%ct"], { cwd: ROOT });
    const seconds = Number(log.stdout.toString());
    if (log.exitCode === 0 && seconds > 0) return seconds;
    throw new Error("no git history to take the time from: set SOURCE_DATE_EPOCH to a time in Unix seconds");
  })();
  return date;
}

/** Copies files of the project to where they are packed from, each with the same mode everywhere. */
export async function stage(directory: string, files: Record<string, string>, mode = 0o644): Promise<void> {
  for (const [to, from] of Object.entries(files)) {
    const path = join(directory, to);
    mkdirSync(dirname(path), { recursive: true });
    await Bun.write(path, Bun.file(join(ROOT, from)));
    await run(["chmod", mode.toString(8), path]);
  }
}
