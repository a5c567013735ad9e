import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { appendFileSync, cpSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { buildBinary } from "../../../release/binary.ts";
import { writeLinuxPackages } from "../../../release/linux-packages.ts";
import { run } from "../../../release/run.ts";
import { TARGETS, type Target } from "../../../release/targets.ts";
import { newDir, removeDir, scan, until } from "../../support/daemon.ts";
import { atEnd, cleanUp, emptyDir } from "../../support/e2e.ts";
import { binaryOf, released, VERSION } from "../../support/release/files.ts";
import { debianRoot, muslRoot, type Root } from "../../support/release/roots.ts";

afterEach(cleanUp);

const NEXT_VERSION = "99.0.0";
const ENV_FILE = "/etc/armorhooks/armorhooks.env";
const AS_USER = "runuser -u armorhooks -- armorhooks";
const DATA = "--data-dir /var/lib/armorhooks";
const SOCKET = "/var/lib/armorhooks/events.sock";

function targetOf(name: string): Target & { debian: "amd64" | "arm64" } {
  return TARGETS.find((target) => target.name === name) as Target & { debian: "amd64" | "arm64" };
}

const LATER = newDir();
afterAll(() => removeDir(LATER));
let later: Promise<string[]> | null = null;

/** The same packages with a later version, made once. */
async function laterPackages(): Promise<string> {
  later ??= (async () => {
    const binary = await binaryOf("linux-x64");
    return writeLinuxPackages(targetOf("linux-x64"), NEXT_VERSION, binary, join(LATER, "work"), LATER);
  })();
  await later;
  return LATER;
}

/** Starts the daemon of a root as its user and answers the ack of one event. */
async function sendOneEvent({ path, ok }: Root): Promise<unknown> {
  // Not runuser, which ends in another way than what it runs.
  const serve = `exec setpriv --reuid armorhooks --regid armorhooks --init-groups armorhooks serve ${DATA} --port 0`;
  const child = Bun.spawn(["chroot", path, "/bin/sh", "-c", serve], { stdout: "ignore" });
  atEnd(() => child.kill());
  await until("its socket is there", () => existsSync(join(path, SOCKET)));
  const ack = JSON.parse(
    await ok(`echo '${JSON.stringify(scan())}' | ${AS_USER} send --socket ${SOCKET} 2>/dev/null`),
  );
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
  return ack;
}

interface Packages {
  install: (version: string) => string;
  upgrade: (version: string) => string;
  remove: string;
  file: (version: string) => string;
}

const KINDS: [name: string, packages: Packages][] = [
  [
    "deb",
    {
      file: (version) => `armorhooks_${version}_amd64.deb`,
      install: (version) => `dpkg --install /armorhooks_${version}_amd64.deb`,
      upgrade: (version) => `dpkg --install /armorhooks_${version}_amd64.deb`,
      remove: "dpkg --remove armorhooks",
    },
  ],
  [
    "rpm",
    {
      file: (version) => `armorhooks-${version}-1.x86_64.rpm`,
      // Debian's libraries are not in the database of rpm.
      install: (version) => `rpm --install --nodeps /armorhooks-${version}-1.x86_64.rpm`,
      upgrade: (version) => `rpm --upgrade --nodeps /armorhooks-${version}-1.x86_64.rpm`,
      remove: "rpm --erase --nodeps armorhooks",
    },
  ],
];

describe.each(KINDS)("the .%s", (kind, packages) => {
  let root: Root;
  let installed: string;
  beforeEach(async () => {
    root = await debianRoot();
    cpSync(released(packages.file(VERSION)), join(root.path, packages.file(VERSION)));
    installed = await root.ok(packages.install(VERSION));
  }, 240_000);

  test("makes the user and the files, starts nothing, and says what comes next", async () => {
    expect(await root.ok("getent passwd armorhooks")).toMatch(
      /^armorhooks:x:\d+:\d+::\/var\/lib\/armorhooks:.*nologin$/m,
    );
    expect(await root.ok("stat -c '%U %a' /var/lib/armorhooks")).toBe("armorhooks 700\n");
    expect(await root.ok(`stat -c '%U %a' ${ENV_FILE}`)).toBe("root 600\n");
    expect(installed).toContain("systemctl enable --now armorhooks");
    expect(await root.ok("find /etc/systemd -name '*armorhooks*'")).toBe("");
    expect(await root.ok("armorhooks version")).toBe(`${VERSION}\n`);
  });

  test("what it says to do works: an organization, a key, and an event that is acked", async () => {
    const created = await root.ok(`${AS_USER} org create --name acme ${DATA} --json`);
    const { organization } = JSON.parse(created);
    const key = JSON.parse(await root.ok(`${AS_USER} key create --org ${organization.id} ${DATA} --json`));
    expect(key.raw_key).toMatch(/^ia_sk_[0-9a-f]{48}$/);
    const ack = await sendOneEvent(root);
    expect(ack).toMatchObject({ ok: true, deliveries: 0 });
  }, 20_000);

  test("an upgrade and a removal leave the operator's configuration and the data alone", async () => {
    appendFileSync(join(root.path, ENV_FILE), "ARMORHOOKS_PORT=9999\n");
    await root.ok(`${AS_USER} org create --name acme ${DATA}`);
    const file = packages.file(NEXT_VERSION);
    cpSync(join(await laterPackages(), file), join(root.path, file));
    expect(await root.ok(packages.upgrade(NEXT_VERSION))).not.toContain("armorhooks is installed");
    const after = await root.ok(
      kind === "deb" ? "dpkg-query -W -f '${Version}' armorhooks" : "rpm -q --qf '%{VERSION}' armorhooks",
    );
    expect(after).toBe(NEXT_VERSION);
    expect(readFileSync(join(root.path, ENV_FILE), "utf8")).toContain("ARMORHOOKS_PORT=9999");

    await root.ok(packages.remove);
    expect(existsSync(join(root.path, "usr/bin/armorhooks"))).toBe(false);
    expect(await root.ok("cat /etc/armorhooks/armorhooks.env*")).toContain("ARMORHOOKS_PORT=9999");
    expect(existsSync(join(root.path, "var/lib/armorhooks/armorhooks.db"))).toBe(true);
    if (kind === "deb") await root.ok("dpkg --purge armorhooks && ! test -e /etc/armorhooks/armorhooks.env");
    expect(existsSync(join(root.path, "var/lib/armorhooks/armorhooks.db"))).toBe(true);
  }, 120_000);

  test("its unit is the hardened one, without a fault", async () => {
    const unit = "/usr/lib/systemd/system/armorhooks.service";
    // Units that it names are the host's.
    const directory = emptyDir();
    const text = readFileSync(join(root.path, unit), "utf8");
    const here = join(directory, "armorhooks.service");
    await Bun.write(here, text.replace("/usr/bin/armorhooks", join(root.path, "usr/bin/armorhooks")));
    const verified = Bun.spawnSync(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", here]);
    expect([verified.exitCode, verified.stderr.toString()]).toEqual([0, ""]);
    const review = await run(["systemd-analyze", "security", "--offline=true", "--threshold=25", here]);
    const exposure = Number(review.match(/exposure level for armorhooks\.service: ([\d.]+)/)?.[1]);
    expect(exposure).toBeLessThan(2.5);
    expect(text).toContain(
      readFileSync(join(import.meta.dir, "../../../deploy/armorhooks.service"), "utf8")
        .split("[Unit]")[1]
        ?.replace("/usr/local/bin/", "/usr/bin/") ?? "-",
    );
  });
});

test("the binary for musl takes events in a root with nothing but musl and the C++ library", async () => {
  const root = await muslRoot();
  cpSync(await binaryOf("linux-x64-musl"), join(root.path, "armorhooks"));
  const started = Bun.spawn(
    ["chroot", root.path, "/armorhooks", "serve", "--bootstrap", "--data-dir", "/data", "--port", "0"],
    {
      stdout: "pipe",
    },
  );
  atEnd(() => started.kill("SIGKILL"));
  await until("its socket is there", () => existsSync(join(root.path, "data/events.sock")));
  const child = Bun.spawn(["chroot", root.path, "/armorhooks", "send", "--socket", "/data/events.sock"], {
    stdin: new TextEncoder().encode(`${JSON.stringify(scan())}\n`),
    stdout: "pipe",
    stderr: "ignore",
  });
  expect(JSON.parse(await new Response(child.stdout).text())).toMatchObject({ ok: true, deliveries: 0 });
  started.kill("SIGTERM");
  expect(await started.exited).toBe(0);
}, 120_000);

test("the binary for arm64 takes events, on an emulated processor", async () => {
  const directory = emptyDir();
  const binary = join(directory, "armorhooks");
  await buildBinary(targetOf("linux-arm64"), binary);
  mkdirSync(join(directory, "data"), { mode: 0o700 });
  const emulated = ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu", binary];
  const daemon = Bun.spawn(
    [...emulated, "serve", "--bootstrap", "--data-dir", join(directory, "data"), "--port", "0"],
    {
      cwd: directory,
      stdout: "pipe",
    },
  );
  atEnd(() => daemon.kill("SIGKILL"));
  await until("its socket is there", () => existsSync(join(directory, "data/events.sock")), 60_000);
  const child = Bun.spawn([...emulated, "send", "--socket", join(directory, "data/events.sock")], {
    stdin: new TextEncoder().encode(`${JSON.stringify(scan())}\n`),
    stdout: "pipe",
    stderr: "ignore",
  });
  expect(JSON.parse(await new Response(child.stdout).text())).toMatchObject({ ok: true, deliveries: 0 });
  expect(statSync(binary).size).toBeGreaterThan(50_000_000);
}, 150_000);
