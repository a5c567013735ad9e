import { afterEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { cpSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { ROOT, run, sourceDate } from "../../../release/run.ts";
import { describeBinary } from "../../../release/sbom.ts";
import { RUNTIME_VERSION } from "../../../release/targets.ts";
import { cleanUp, emptyDir } from "../../support/e2e.ts";
import { binaryOf, RELEASE, released, unpack, VERSION } from "../../support/release/files.ts";

afterEach(cleanUp);

test("SHA256SUMS names every file with its checksum, as sha256sum checks it", async () => {
  expect(await run(["sha256sum", "--check", "--strict", "SHA256SUMS"], { cwd: RELEASE })).not.toContain(
    "FAILED",
  );
  const named = readFileSync(released("SHA256SUMS"), "utf8").trim().split("\n");
  const files = readdirSync(RELEASE).filter((file) => file !== "SHA256SUMS");
  expect(named.map((line) => line.split("  ")[1]).sort()).toEqual(files.sort());
  expect(files).toContain(`armorhooks_${VERSION}_amd64.deb`);
});

test("an archive has the binary with its version inside, and what an operator needs", async () => {
  const binary = await binaryOf("linux-x64");
  expect((await run([binary, "version"])).trim()).toBe(VERSION);
  expect(readdirSync(join(binary, "..")).sort()).toEqual([
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "alerts.yml",
    "armorhooks",
    "armorhooks.service",
    "grafana-dashboard.json",
  ]);
  expect(statSync(binary).mode & 0o777).toBe(0o755);
});

test("the binary runs on a processor without AVX2", async () => {
  const binary = await binaryOf("linux-x64");
  expect((await run(["qemu-x86_64-static", "-cpu", "Nehalem", binary, "version"])).trim()).toBe(VERSION);
}, 60_000);

test("the SBOM names the runtime and every package in the binary, each with its checksum and licence", async () => {
  const text = readFileSync(released(`armorhooks-${VERSION}.cdx.json`), "utf8");
  const bom = JSON.parse(text) as { components: Component[]; specVersion: string; bomFormat: string };
  expect([bom.bomFormat, bom.specVersion]).toEqual(["CycloneDX", "1.6"]);
  const names = bom.components.map(({ name, version }) => `${name}@${version}`);
  expect(names).toContain(`bun@${RUNTIME_VERSION}`);
  for (const dependency of ["elysia", "drizzle-orm", "p-retry", "commander", "prom-client"]) {
    expect(names.some((name) => name.startsWith(`${dependency}@`))).toBe(true);
  }
  expect(names.filter((name) => /^(typescript|@biomejs|playwright|bullmq)/.test(name))).toEqual([]);
  for (const { name, hashes, licenses, purl } of bom.components) {
    expect(purl, name).toMatch(/^pkg:npm\//);
    expect(licenses?.length, name).toBe(1);
    if (name !== "bun") expect(hashes?.[0]?.content, name).toMatch(/^[0-9a-f]{128}$/);
  }
  expect(await describeBinary()).toBe(text);
});

interface Component {
  name: string;
  version: string;
  purl: string;
  hashes?: { content: string }[];
  licenses?: object[];
}

test("built again, in another directory, every file has the same bytes", async () => {
  const checkout = join(emptyDir(), "another checkout");
  const files = (await run(["git", "ls-files", "-co", "--exclude-standard", "-z"]))
    .split("\0")
    .filter(Boolean);
  for (const file of files) cpSync(join(ROOT, file), join(checkout, file), { recursive: true });
  const before = sums(RELEASE);
  const targets = Object.keys(before).flatMap(
    (file) => file.match(/-((linux|darwin)-.*)\.tar\.gz$/)?.[1] ?? [],
  );
  const env = { SOURCE_DATE_EPOCH: String(await sourceDate()) };
  await run([process.execPath, "run", "release", "--only", targets.join(",")], { cwd: checkout, env });
  expect(sums(join(checkout, "dist/release"))).toEqual(before);
}, 300_000);

function sums(directory: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(directory).map((file) => {
      const bytes = readFileSync(join(directory, file));
      return [file, createHash("sha256").update(bytes).digest("hex")];
    }),
  );
}

test("every version is that of package.json", async () => {
  const npm = await unpack(`armorhooks-${VERSION}.tgz`, "package");
  expect(JSON.parse(readFileSync(join(npm, "package.json"), "utf8")).version).toBe(VERSION);
  expect(released(`armorhooks-${VERSION}-py3-none-any.whl`)).toContain(VERSION);
  const control = await run(["dpkg-deb", "--field", released(`armorhooks_${VERSION}_amd64.deb`), "Version"]);
  expect(control.trim()).toBe(VERSION);
});
