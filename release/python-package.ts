import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { CACHE, ROOT, run, stage } from "./run.ts";

const PACKAGE = join(ROOT, "clients/python");
const PATTERNS = ["pyproject.toml", "README.md", "src/**/*.py", "src/**/py.typed", "tests/*.py"];

/** The Python package of the clients, as wheel and source; answers their names. */
export async function writePythonPackage(work: string, out: string): Promise<string[]> {
  const directory = join(work, "python");
  const found = PATTERNS.flatMap((pattern) => [...new Bun.Glob(pattern).scanSync(PACKAGE)]);
  const files = found.map((path) => [path, `clients/python/${path}`] as const);
  await stage(directory, { ...Object.fromEntries(files), LICENSE: "LICENSE" });
  const build = [await installBuilder(), "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", out];
  await run(build, { cwd: directory });
  return readdirSync(out).filter((file) => /\.whl$|^armorhooks-[\d.]+\.tar\.gz$/.test(file));
}

/** An environment of its own with what release/requirements.txt names; answers its interpreter. */
async function installBuilder(): Promise<string> {
  const environment = join(CACHE, "python");
  const python = join(environment, "bin/python");
  if (!existsSync(python)) await run(["python3", "-m", "venv", environment]);
  await run([
    python,
    "-m",
    "pip",
    "install",
    "--quiet",
    "--require-hashes",
    "-r",
    "release/requirements.txt",
  ]);
  return python;
}
