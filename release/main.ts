import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import manifest from "../package.json";
import { writeArchive } from "./archive.ts";
import { buildBinary } from "./binary.ts";
import { writeLinuxPackages } from "./linux-packages.ts";
import { writeNpmPackage } from "./npm-package.ts";
import { writePythonPackage } from "./python-package.ts";
import { ROOT } from "./run.ts";
import { describeBinary } from "./sbom.ts";
import { TARGETS } from "./targets.ts";

// Needs a Linux machine with Node.js, npm, Go, Python 3.11, GNU tar and gzip.
const { values } = parseArgs({
  options: {
    /** Targets to build, separated by commas; all when left out. */
    only: { type: "string", default: TARGETS.map(({ name }) => name).join(",") },
    out: { type: "string", default: join(ROOT, "dist/release") },
  },
});

const wanted = values.only.split(",");
const unknown = wanted.filter((name) => !TARGETS.some((target) => target.name === name));
if (unknown.length > 0) {
  const names = TARGETS.map(({ name }) => name).join(", ");
  console.error(`release: no target ${unknown.join(", ")}; there are ${names}`);
  process.exit(2);
}

const out = resolve(values.out);
const { version } = manifest;
const started = performance.now();

function say(file: string): void {
  console.log(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${file}`);
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const work = mkdtempSync(join(tmpdir(), "armorhooks-release-"));
try {
  for (const target of TARGETS.filter(({ name }) => wanted.includes(name))) {
    const name = `armorhooks-${version}-${target.name}`;
    // The name of the file is a part of the binary, so it is the same for all.
    const binary = join(work, name, "armorhooks");
    mkdirSync(join(work, name));
    await buildBinary(target, binary);
    for (const left of readdirSync(join(work, name))) {
      if (left.endsWith(".map")) rmSync(join(work, name, left));
    }
    say(await writeArchive(work, name, out));
    const { debian } = target;
    if (debian === undefined) continue;
    for (const file of await writeLinuxPackages({ ...target, debian }, version, binary, work, out)) say(file);
  }
  say(await writeNpmPackage(work, out));
  for (const file of await writePythonPackage(work, out)) say(file);
  const sbom = `armorhooks-${version}.cdx.json`;
  await Bun.write(join(out, sbom), await describeBinary());
  say(sbom);
} finally {
  rmSync(work, { recursive: true, force: true });
}

const sums = readdirSync(out)
  .sort()
  .map(
    (file) =>
      `${createHash("sha256")
        .update(readFileSync(join(out, file)))
        .digest("hex")}  ${file}\n`,
  );
await Bun.write(join(out, "SHA256SUMS"), sums.join(""));
say("SHA256SUMS");
