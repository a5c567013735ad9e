import { rmSync } from "node:fs";
import { join } from "node:path";
import { run, sourceDate, stage } from "./run.ts";

/** What lies beside the binary in an archive: where, and which file of the project it is. */
const BESIDE: Record<string, string> = {
  "README.md": "README.md",
  "CHANGELOG.md": "CHANGELOG.md",
  LICENSE: "LICENSE",
  "armorhooks.service": "deploy/armorhooks.service",
  "alerts.yml": "deploy/alerts.yml",
  "grafana-dashboard.json": "deploy/grafana-dashboard.json",
};

/** Packs a directory with a binary in it as `<name>.tar.gz`: the same bytes for the same files. */
export async function writeArchive(work: string, name: string, out: string): Promise<string> {
  const directory = join(work, name);
  await stage(directory, BESIDE);
  await run(["chmod", "755", directory, join(directory, "armorhooks")]);
  const file = `${name}.tar.gz`;
  const same = `--sort=name --owner=0 --group=0 --numeric-owner --format=ustar --mtime=@${await sourceDate()}`;
  const plain = join(work, `${name}.tar`);
  await run(["tar", ...same.split(" "), "-C", work, "-cf", plain, name]);
  await run(["sh", "-c", 'gzip -6 -n < "$1" > "$2"', "sh", plain, join(out, file)]);
  rmSync(plain);
  return file;
}
