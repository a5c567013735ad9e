import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import manifest from "../package.json";
import { CACHE, run } from "./run.ts";
import { RUNTIME_VERSION, type Target } from "./targets.ts";

/** The runtime of a target, from the npm registry, checked against its checksum; answers its path. */
async function fetchRuntime({ name, runtime, integrity }: Target): Promise<string> {
  if (manifest.packageManager !== `bun@${RUNTIME_VERSION}`) {
    throw new Error(
      `release/targets.ts has the checksums of Bun ${RUNTIME_VERSION}, package.json says ${manifest.packageManager}: update RUNTIME_VERSION and each integrity ("npm view ${runtime}@… dist.integrity")`,
    );
  }
  const directory = join(CACHE, `${RUNTIME_VERSION}-${name}`);
  const path = join(directory, "package/bin/bun");
  if (existsSync(path)) return path;
  const fresh = `${directory}.${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  const spec = `${runtime}@${RUNTIME_VERSION}`;
  const file = (await run(["npm", "pack", "--silent", "--pack-destination", fresh, spec])).trim();
  const digest = createHash("sha512")
    .update(readFileSync(join(fresh, file)))
    .digest("base64");
  if (`sha512-${digest}` !== integrity) {
    throw new Error(`${spec} is not what was tried: its checksum is sha512-${digest}, expected ${integrity}`);
  }
  await run(["tar", "-xzf", file], { cwd: fresh });
  renameSync(fresh, directory);
  return path;
}

/** What `bun run build` does, for another machine; its options and entry points are read from there. */
export async function buildBinary(target: Target, outfile: string): Promise<void> {
  const runtime = await fetchRuntime(target);
  const build = manifest.scripts.build.split("&& bun build ")[1];
  if (!build) throw new Error('package.json\'s "build" is not "… && bun build …"');
  const options = build.replace(/ --outfile \S+$/, "").split(" ");
  const cross = [`--target=${target.compile}`, `--compile-executable-path=${runtime}`, "--outfile", outfile];
  await run([process.execPath, "build", ...options, ...cross]);
}
