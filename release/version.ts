import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import manifest from "../package.json";
import { ROOT, run } from "./run.ts";

// usage: bun run version X.Y.Z. Writes the version wherever it is said, dates the changelog, commits and tags.

const SEMANTIC = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/;
const UNRELEASED = "## [Unreleased]\n";

class Refused extends Error {}

/** Where a version is written, and how. */
const PLACES: [file: string, pattern: (version: string) => RegExp, text: (version: string) => string][] = [
  ["package.json", (old) => new RegExp(`"version": "${literal(old)}"`), (now) => `"version": "${now}"`],
  [
    "clients/python/pyproject.toml",
    (old) => new RegExp(`^version = "${literal(old)}"$`, "m"),
    (now) => `version = "${now}"`,
  ],
  ["README.md", (old) => new RegExp(`(?<=armorhooks[-_])${literal(old)}`, "g"), (now) => now],
];

function literal(version: string): string {
  return version.replaceAll(".", "\\.");
}

/** The changelog with what was unreleased below a heading of its own. */
function dated(changelog: string, version: string, date: string): string {
  const start = changelog.indexOf(UNRELEASED);
  if (start < 0) throw new Refused('CHANGELOG.md has no "## [Unreleased]"');
  const rest = changelog.slice(start + UNRELEASED.length);
  const end = rest.search(/^## /m);
  const entries = end < 0 ? rest : rest.slice(0, end);
  if (!/^- /m.test(entries))
    throw new Refused("CHANGELOG.md says of nothing that is new: add it below Unreleased");
  return `${changelog.slice(0, start)}${UNRELEASED}\n## [${version}] - ${date}\n${rest}`;
}

async function main(version: string): Promise<void> {
  const old = manifest.version;
  if (!SEMANTIC.test(version)) throw new Refused("usage: bun run version X.Y.Z, a semantic version");
  if (Bun.semver.order(version, old) < 0)
    throw new Refused(`${version} comes before ${old}, the present version`);
  if ((await run(["git", "status", "--porcelain"])) !== "") {
    throw new Refused("there are changes that are not committed: commit or put them away first");
  }
  if ((await run(["git", "tag", "--list", `v${version}`])) !== "")
    throw new Refused(`v${version} is a tag already`);

  const texts = new Map<string, string>();
  for (const [file, pattern, text] of PLACES) {
    const before = readFileSync(join(ROOT, file), "utf8");
    if (!pattern(old).test(before)) throw new Refused(`${file} does not say ${old} where it should`);
    texts.set(file, before.replace(pattern(old), text(version)));
  }
  const date = new Date().toISOString().slice(0, 10);
  texts.set("CHANGELOG.md", dated(readFileSync(join(ROOT, "CHANGELOG.md"), "utf8"), version, date));

  for (const [file, text] of texts) writeFileSync(join(ROOT, file), text);
  await run(["git", "commit", "--quiet", "--message", `Version ${version}`, "--", ...texts.keys()]);
  await run(["git", "tag", "--annotate", "--message", `armorhooks ${version}`, `v${version}`]);
  console.log(`armorhooks ${version} is committed and tagged v${version}; push both: git push --follow-tags`);
}

try {
  await main(process.argv[2] ?? "");
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  console.error(`version: ${error.message}`);
  process.exitCode = 2;
}
