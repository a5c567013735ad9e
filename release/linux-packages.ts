import { join } from "node:path";
import { CACHE, ROOT, run, sourceDate, stage } from "./run.ts";
import type { Target } from "./targets.ts";

const RPM_ARCHITECTURE = { amd64: "x86_64", arm64: "aarch64" } as const;

/** The .deb and the .rpm of a binary; answers their names. */
export async function writeLinuxPackages(
  target: Target & { debian: "amd64" | "arm64" },
  version: string,
  binary: string,
  work: string,
  out: string,
): Promise<string[]> {
  const directory = join(work, `packages-${target.name}`);
  await stage(directory, {
    "armorhooks.env": "release/linux/armorhooks.env",
    LICENSE: "LICENSE",
    "doc/README.md": "README.md",
    "doc/CHANGELOG.md": "CHANGELOG.md",
    "doc/alerts.yml": "deploy/alerts.yml",
    "doc/grafana-dashboard.json": "deploy/grafana-dashboard.json",
  });
  await run(["cp", binary, join(directory, "armorhooks")]);
  await Bun.write(join(directory, "armorhooks.service"), await packagedUnit());
  const env = { ARCH: target.debian, VERSION: version, WORK: directory };
  // nfpm gives files that it stages the times that they have here.
  await run(["find", directory, "-exec", "touch", "--date", `@${await sourceDate()}`, "{}", "+"]);
  const files = {
    deb: `armorhooks_${version}_${target.debian}.deb`,
    rpm: `armorhooks-${version}-1.${RPM_ARCHITECTURE[target.debian]}.rpm`,
  };
  const config = "release/linux/nfpm.yaml";
  const nfpm = await buildNfpm();
  for (const [packager, file] of Object.entries(files)) {
    await run([nfpm, "package", "--config", config, "--packager", packager, "--target", join(out, file)], {
      env,
    });
  }
  return Object.values(files);
}

let nfpm: Promise<string> | null = null;

/** The program that writes both, built from the Go modules that release/nfpm/go.sum names. */
function buildNfpm(): Promise<string> {
  nfpm ??= (async () => {
    const path = join(CACHE, "nfpm");
    const build = ["go", "build", "-mod=readonly", "-o", path, "github.com/goreleaser/nfpm/v2/cmd/nfpm"];
    await run(build, { cwd: join(ROOT, "release/nfpm") });
    return path;
  })();
  return nfpm;
}

/** deploy/armorhooks.service without what a package does itself, and with the binary where packages put it. */
async function packagedUnit(): Promise<string> {
  const unit = await Bun.file(join(ROOT, "deploy/armorhooks.service")).text();
  const [head = "", ...sections] = unit.split(/^(?=\[)/m);
  const kept = head.split("\n").filter((line) => /^# {0,11}(Scanners|Commands|\(as root)/.test(line));
  const body = sections.join("").replace("ExecStart=/usr/local/bin/", "ExecStart=/usr/bin/");
  if (!body.includes("ExecStart=/usr/bin/armorhooks serve")) {
    throw new Error("deploy/armorhooks.service starts another program than /usr/local/bin/armorhooks");
  }
  return `${kept.join("\n")}\n\n${body}`;
}
