import { mkdirSync } from "node:fs";
import { join } from "node:path";
import manifest from "../package.json";
import { ROOT, run, stage } from "./run.ts";

/** The npm package of the clients; answers its name. */
export async function writeNpmPackage(work: string, out: string): Promise<string> {
  const directory = join(work, "npm");
  mkdirSync(directory, { recursive: true });
  const compiler = join(ROOT, "node_modules/.bin/tsc");
  await run([compiler, "--project", "release/tsconfig.npm.json", "--outDir", directory]);
  await stage(directory, { "README.md": "clients/npm/README.md", LICENSE: "LICENSE" });
  await Bun.write(join(directory, "package.json"), `${JSON.stringify(description(), null, 2)}\n`);
  return (await run(["npm", "pack", "--silent", "--pack-destination", out], { cwd: directory })).trim();
}

function description(): object {
  const { name, version, license } = manifest;
  const entry = (directory: string) => ({
    types: `./${directory}/index.d.ts`,
    default: `./${directory}/index.js`,
  });
  return {
    name,
    version,
    description:
      "Clients of the armorhooks webhook delivery daemon: for its scan-event socket and its HTTP API.",
    license,
    type: "module",
    sideEffects: false,
    engines: { node: ">=18" },
    exports: {
      "./client": entry("client"),
      "./scanner": entry("scanner"),
      "./package.json": "./package.json",
    },
    files: ["client", "scanner"],
  };
}
