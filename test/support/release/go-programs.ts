import { existsSync } from "node:fs";
import { join } from "node:path";
import { CACHE, run } from "../../../release/run.ts";

/** A program of a Go module, built once; answers its path. */
export async function goProgram(spec: string): Promise<string> {
  const directory = join(CACHE, "go", spec.replaceAll(/[/@]/g, "-"));
  const [name = ""] = (spec.split("/").at(-1) ?? "").split("@");
  const path = join(directory, name);
  if (!existsSync(path)) await run(["go", "install", spec], { env: { GOBIN: directory } });
  return path;
}
