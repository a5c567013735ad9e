import { existsSync } from "node:fs";
import { join } from "node:path";
import manifest from "../../../package.json";
import { CACHE, ROOT, run } from "../../../release/run.ts";
import { emptyDir } from "../e2e.ts";

export const VERSION = manifest.version;
/** What `bun run release` has written. */
export const RELEASE = join(ROOT, "dist/release");

/** A file of the release. */
export function released(name: string): string {
  const path = join(RELEASE, name);
  if (existsSync(path)) return path;
  throw new Error(`${name} is not there: run "bun run release" first`);
}

/** Unpacks an archive into a directory that goes with the test; answers where its files are. */
export async function unpack(name: string, inside: string): Promise<string> {
  const directory = emptyDir();
  await run(["tar", "-xzf", released(name), "-C", directory]);
  return join(directory, inside);
}

/** The binary of an archive. */
export async function binaryOf(target: string): Promise<string> {
  const name = `armorhooks-${VERSION}-${target}`;
  return join(await unpack(`${name}.tar.gz`, name), "armorhooks");
}

/** An npm package of a program for this machine, such as another Node.js; answers the path of a file in it. */
export async function fromNpm(spec: string, file: string): Promise<string> {
  const directory = join(CACHE, spec);
  const path = join(directory, "package", file);
  if (existsSync(path)) return path;
  await run(["mkdir", "-p", directory]);
  const packed = (await run(["npm", "pack", "--silent", "--pack-destination", directory, spec])).trim();
  await run(["tar", "-xzf", join(directory, packed), "-C", directory]);
  return path;
}
