import { afterEach, expect, test } from "bun:test";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import manifest from "../../package.json";
import { newDir, removeDir } from "../support/daemon.ts";
import { read } from "../support/sources.ts";

const made: string[] = [];
afterEach(() => {
  for (const directory of made.splice(0)) removeDir(directory);
});

const GIT = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"];

/** A repository of its own with the files that the script reads. */
function checkout(changelog = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n") {
  const directory = newDir();
  made.push(directory);
  const files = [
    "package.json",
    "README.md",
    "clients/python/pyproject.toml",
    "release/version.ts",
    "release/run.ts",
  ];
  for (const file of files)
    cpSync(join(import.meta.dir, "../..", file), join(directory, file), { recursive: true });
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "CHANGELOG.md"), changelog);
  const git = (...args: string[]) =>
    Bun.spawnSync(["git", ...GIT, ...args], { cwd: directory })
      .stdout.toString()
      .trim();
  git("init", "--quiet");
  git("add", "--all");
  git("commit", "--quiet", "--message", "All");
  const version = (wanted: string) => {
    const env = {
      PATH: process.env["PATH"] ?? "",
      HOME: directory,
      GIT_AUTHOR_NAME: "Test",
      GIT_AUTHOR_EMAIL: "test@example.com",
      GIT_COMMITTER_NAME: "Test",
      GIT_COMMITTER_EMAIL: "test@example.com",
    };
    const child = Bun.spawnSync([process.execPath, "release/version.ts", wanted], { cwd: directory, env });
    return { code: child.exitCode, stderr: child.stderr.toString() };
  };
  return { git, version, text: (file: string) => readFileSync(join(directory, file), "utf8") };
}

test("writes the version everywhere, dates the changelog, commits and tags", () => {
  const { git, version, text } = checkout();
  expect(version("7.8.9")).toEqual({ code: 0, stderr: "" });
  expect(JSON.parse(text("package.json")).version).toBe("7.8.9");
  expect(text("clients/python/pyproject.toml")).toContain('\nversion = "7.8.9"\n');
  expect(text("README.md")).not.toContain(`armorhooks-${manifest.version}`);
  expect(text("README.md")).toContain("armorhooks_7.8.9_amd64.deb");
  const today = new Date().toISOString().slice(0, 10);
  expect(text("CHANGELOG.md")).toBe(
    `# Changelog\n\n## [Unreleased]\n\n## [7.8.9] - ${today}\n\n### Added\n\n- A thing.\n`,
  );
  expect([git("tag", "--list"), git("status", "--porcelain"), git("log", "-1", "--format=%s")]).toEqual([
    "v7.8.9",
    "",
    "Version 7.8.9",
  ]);
  expect(version("7.8.10").stderr).toContain("says of nothing that is new");
});

test.each([
  ["no version", "next", /semantic version/],
  ["an earlier one", "0.0.1", /comes before/],
])("refuses %s, and changes nothing", (_what, wanted, says) => {
  const { git, version } = checkout();
  const { code, stderr } = version(wanted);
  expect(code).toBe(2);
  expect(stderr).toMatch(says);
  expect([git("tag", "--list"), git("status", "--porcelain")]).toEqual(["", ""]);
});

test("the Python package has the version of package.json", () => {
  expect(read("clients/python/pyproject.toml")).toContain(`\nversion = "${manifest.version}"\n`);
});

test("the changelog has the form of Keep a Changelog, with a part for what is not released", () => {
  const text = read("CHANGELOG.md");
  expect(text).toMatch(/^# Changelog\n/);
  const headings = [...text.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
  expect(headings[0]).toBe("[Unreleased]");
  for (const heading of headings.slice(1))
    expect(heading).toMatch(/^\[\d+\.\d+\.\d+\S*\] - \d{4}-\d\d-\d\d$/);
  const kinds = [...text.matchAll(/^### (.*)$/gm)].map(([, kind]) => kind);
  for (const kind of kinds)
    expect(["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]).toContain(kind as string);
});
