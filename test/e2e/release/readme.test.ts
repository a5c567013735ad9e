import { afterEach, expect, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, run } from "../../../release/run.ts";
import { until } from "../../support/daemon.ts";
import { atEnd, cleanUp, command, emptyDir, startBinary } from "../../support/e2e.ts";
import { type Block, blocksOf } from "../../support/markdown.ts";
import { binaryOf, released, VERSION } from "../../support/release/files.ts";
import { goProgram } from "../../support/release/go-programs.ts";
import { debianRoot, type Root } from "../../support/release/roots.ts";
import { read } from "../../support/sources.ts";

afterEach(cleanUp);

const PAGE = "README.md";
const LITESTREAM = "github.com/benbjohnson/litestream/cmd/litestream@v0.3.13";
/** The blocks that people run; a diagram has no language. */
const BLOCKS = blocksOf(PAGE).filter(({ language }) => language !== "");
/** These are run by test/e2e/tour.test.ts, with the page. */
const TOUR = "A tour";
/** Which blocks a test here runs, by what they are recognised by. */
const RUN = new Set<string>();

/** The text of the block that has this in it, and in which no other word of the page is changed. */
function block(mark: string): string {
  const found = BLOCKS.filter(({ text }) => text.includes(mark));
  if (found.length !== 1) throw new Error(`${found.length} blocks of ${PAGE} have "${mark}"`);
  RUN.add((found[0] as Block).text);
  return (found[0] as Block).text;
}

/** Writes a program into a root. */
function install(root: Root, name: string, script: string): void {
  const path = join(root.path, "usr/local/bin", name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

/** A Debian with the files of the release in /root, in which whoever asks with sudo is root already. */
async function machine(...files: string[]): Promise<Root> {
  const root = await debianRoot();
  install(root, "sudo", 'exec "$@"');
  // Nothing has booted it; deploy/try-vm.sh is for that.
  install(root, "systemctl", 'echo "systemctl $*"');
  for (const file of ["SHA256SUMS", ...files]) copyFileSync(released(file), join(root.path, "root", file));
  return root;
}

test("the versions that it names are this one", () => {
  const named = BLOCKS.flatMap(({ text }) => text.match(/armorhooks[-_]\d+\.\d+\.\d+/g) ?? []);
  expect(new Set(named.map((name) => name.split(/[-_]/)[1]))).toEqual(new Set([VERSION]));
});

test("the archive: checked, unpacked and installed", async () => {
  const root = await machine(`armorhooks-${VERSION}-linux-x64.tar.gz`);
  const output = await root.ok(`cd /root && set -e\n${block("sha256sum --check")}`);
  expect(output).toContain(`armorhooks-${VERSION}-linux-x64.tar.gz: OK`);
  expect(output.trim().split("\n").at(-1)).toBe(VERSION);
  writeFileSync(join(root.path, "root", `armorhooks-${VERSION}-linux-x64.tar.gz`), "changed on the way");
  expect((await root.sh(`cd /root && set -e\n${block("sha256sum --check")}`)).code).toBe(1);
}, 120_000);

test("the packages, and what follows on a VM", async () => {
  const [apt = "", rpm = ""] = block("sudo apt install").trim().split("\n");
  const root = await machine(`armorhooks_${VERSION}_amd64.deb`);
  expect(await root.ok(`cd /root && ${apt}`)).toContain("Setting up armorhooks");
  const [create = "", key = "", start = ""] = block("runuser -u armorhooks -- armorhooks org create")
    .trim()
    .split("\n");
  const id = (await root.ok(create)).match(/[0-9a-f-]{36}/)?.[0];
  expect(await root.ok(key.replace("--org ID", `--org ${id}`))).toMatch(/ia_sk_[0-9a-f]{48}/);
  expect(await root.ok(start)).toBe("systemctl enable --now armorhooks\n");

  const other = await machine(`armorhooks-${VERSION}-1.x86_64.rpm`);
  // Debian's libraries are not in the database of rpm.
  await other.ok(`cd /root && ${rpm.replace("--install", "--install --nodeps")}`);
  expect(await other.ok("armorhooks version")).toBe(`${VERSION}\n`);
}, 240_000);

test("an archive's binary on a VM, by hand", async () => {
  const root = await machine();
  copyFileSync(await binaryOf("linux-x64"), join(root.path, "root/armorhooks"));
  copyFileSync(join(ROOT, "deploy/armorhooks.service"), join(root.path, "root/armorhooks.service"));
  await root.ok(`cd /root && set -e\n${block("sudo useradd")}`);
  await root.ok("runuser -u armorhooks -- armorhooks org create --name acme --data-dir /var/lib/armorhooks");
  expect(existsSync(join(root.path, "etc/systemd/system/armorhooks.service"))).toBe(true);
}, 120_000);

test("Docker: every line is one that the compose file and the image have", () => {
  const [up, exec = ""] = block("docker compose up").trim().split("\n");
  expect(up).toBe("docker compose up --detach");
  const [, service = "", program = ""] = exec.match(/^docker compose exec (\S+) (\S+) /) ?? [];
  const compose = Bun.YAML.parse(read("compose.yaml")) as { services: object };
  expect(Object.keys(compose.services)).toEqual([service]);
  expect(read("Dockerfile")).toContain(`ENTRYPOINT ["${program}"]`);
});

test("the clients are installed, and the TypeScript example registers its webhook", async () => {
  const directory = emptyDir();
  await Bun.write(join(directory, "package.json"), '{ "private": true, "type": "module" }\n');
  await run(["python3", "-m", "venv", "venv"], { cwd: directory });
  const [npm = "", pip = ""] = block("npm install ./").trim().split("\n");
  for (const file of [npm, pip].map((line) => line.split("./")[1] ?? "")) {
    copyFileSync(released(file), join(directory, file));
  }
  await run(["sh", "-c", npm], { cwd: directory });
  await run(["sh", "-c", `. venv/bin/activate && ${pip} && python -c "import armorhooks"`], {
    cwd: directory,
  });
  const daemon = await startBinary();
  const example = block("new IndigiArmor").replace("http://127.0.0.1:8787", daemon.url);
  await Bun.write(
    join(directory, "main.ts"),
    `${example}console.log(webhook.secret.length, webhook.format);\n`,
  );
  const output = await run([process.execPath, "main.ts"], { cwd: directory, env: { KEY: daemon.key } });
  expect(output).toBe("64 slack\n");
}, 120_000);

test("the two commands: the first starts a daemon, the second is what CI runs", async () => {
  const [start = "", tests = ""] = block("run start").trim().split("\n");
  expect(tests).toMatch(/^npx -y bun@\S+ run test /);
  expect(read(".ci/run")).toMatch(/bun_run \d+ test \|/);
  const checkout = emptyDir();
  const files = (await run(["git", "ls-files", "-co", "--exclude-standard", "-z"]))
    .split("\0")
    .filter(Boolean);
  for (const file of files) await Bun.write(join(checkout, file), Bun.file(join(ROOT, file)));
  const child = Bun.spawn(["sh", "-c", `exec ${start.split("#")[0]}`], {
    cwd: checkout,
    env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "/", ARMORHOOKS_PORT: "0" },
    stdout: "pipe",
    stderr: "ignore",
  });
  let output = "";
  void (async () => {
    for await (const chunk of child.stdout) output += new TextDecoder().decode(chunk);
  })();
  await until("it says ready", () => output.includes('"msg":"ready"'), 60_000);
  expect(output).toMatch(/ia_sk_[0-9a-f]{48}/);
  // npx does not pass signals on: the daemon is told by its own number.
  const { pid } = JSON.parse(
    output
      .trim()
      .split("\n")
      .find((line) => line.includes('"msg":"ready"')) ?? "{}",
  );
  process.kill(pid, "SIGTERM");
  await child.exited;
}, 90_000);

test("Litestream copies the database that it is told to", async () => {
  const line = block("litestream replicate").trim();
  const [, database = "", target = ""] = line.match(/^litestream replicate (\S+) (\S+)$/) ?? [];
  expect(target).toMatch(/^s3:/);
  const daemon = await startBinary();
  const copy = join(daemon.dir, "replica");
  const program = await goProgram(LITESTREAM);
  const child = Bun.spawn(
    [program, "replicate", database.replace("/var/lib/armorhooks", daemon.dataDir), `file://${copy}`],
    {
      stdout: "ignore",
      stderr: "ignore",
    },
  );
  atEnd(() => child.kill("SIGKILL"));
  await Bun.sleep(500);
  await command(["org", "create", "--name", "acme", "--data-dir", daemon.dataDir]);
  await Bun.sleep(2_500);
  child.kill("SIGTERM");
  await child.exited;
  const restored = join(daemon.dir, "restored");
  mkdirSync(restored, { mode: 0o700 });
  await run([program, "restore", "-o", join(restored, "armorhooks.db"), `file://${copy}`]);
  copyFileSync(join(daemon.dataDir, "secret.key"), join(restored, "secret.key"));
  expect((await command(["org", "list", "--data-dir", restored])).stdout).toContain("acme");
}, 240_000);

test("no block is left that nothing here runs", () => {
  const left = BLOCKS.filter(({ text, heading }) => heading !== TOUR && !RUN.has(text));
  expect(left.map(({ text }) => text)).toEqual([]);
});
