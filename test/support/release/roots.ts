import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CACHE, run } from "../../../release/run.ts";
import { atEnd, emptyDir } from "../e2e.ts";

/** A directory that is the root of another system, in which programs are run. */
export interface Root {
  path: string;
  /** Runs a shell command in it; answers its exit code and what it printed, errors included. */
  sh(command: string): Promise<{ code: number; output: string }>;
  /** The same, which must succeed. */
  ok(command: string): Promise<string>;
}

function rootAt(path: string): Root {
  const sh = async (command: string) => {
    const child = Bun.spawn(["chroot", path, "/bin/sh", "-c", `exec 2>&1; ${command}`], {
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" },
      stdin: "ignore",
      stdout: "pipe",
    });
    const output = await new Response(child.stdout).text();
    return { code: await child.exited, output };
  };
  return {
    path,
    sh,
    async ok(command) {
      const { code, output } = await sh(command);
      if (code !== 0) throw new Error(`${command} ended with ${code}:\n${output}`);
      return output;
    },
  };
}

/** Makes a directory in the cache once; `make` fills another one, so that a half is never taken for the whole. */
async function cached(name: string, make: (directory: string) => Promise<void>): Promise<string> {
  const path = join(CACHE, name);
  if (existsSync(path)) return path;
  const fresh = `${path}.${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  await make(fresh);
  renameSync(fresh, path);
  return path;
}

/** A Debian 12 of its own, as small as it gets, with rpm, /proc and /dev; it goes with the test. */
export async function debianRoot(): Promise<Root> {
  const base = await cached("debian-12-with-rpm", async (directory) => {
    await run(["debootstrap", "--variant=minbase", "--include=passwd,rpm", "bookworm", directory]);
  });
  const path = join(emptyDir(), "root");
  await run(["cp", "-a", "--reflink=auto", base, path]);
  await mountDevices(path);
  return rootAt(path);
}

/** Gives a root the machine's /proc and /dev until the test is over. */
export async function mountDevices(root: string): Promise<void> {
  for (const shared of ["proc", "dev"]) {
    mkdirSync(join(root, shared), { recursive: true });
    await run(["mount", "--rbind", "--make-rslave", `/${shared}`, join(root, shared)]);
    atEnd(() => run(["umount", "--recursive", "--lazy", join(root, shared)]));
  }
}

// The first C++ library of GCC 14 that is built for musl and that a registry has; in Alpine, the package libstdc++.
const CXX_LIBRARY = "greenlet==3.2.4";

/** What a program finds on Alpine with libstdc++: musl, the C++ library, and nothing else. */
export async function muslRoot(): Promise<Root> {
  const base = await cached("musl", async (directory) => {
    await Promise.all([addMusl(directory), addCxxLibrary(directory)]);
  });
  const path = join(emptyDir(), "root");
  cpSync(base, path, { recursive: true, verbatimSymlinks: true });
  return rootAt(path);
}

/** Debian 13's, as Debian 12's is older than what Alpine's libraries ask for. */
async function addMusl(root: string): Promise<void> {
  const apt = join(emptyDir(), "apt");
  mkdirSync(join(apt, "lists/partial"), { recursive: true });
  mkdirSync(join(apt, "cache/archives/partial"), { recursive: true });
  const policy = await run(["apt-cache", "policy", "base-files"]);
  const mirror = policy.match(/^ +\d+ (\S+) bookworm\/main/m)?.[1];
  if (!mirror) throw new Error(`no mirror of Debian in:\n${policy}`);
  writeFileSync(join(apt, "sources"), `deb ${mirror} trixie main\n`);
  const options = Object.entries({
    "Dir::Etc::SourceList": join(apt, "sources"),
    "Dir::Etc::SourceParts": "/dev/null",
    "Dir::State::Lists": join(apt, "lists"),
    "Dir::Cache": join(apt, "cache"),
  }).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  await run(["apt-get", ...options, "update"]);
  await run(["apt-get", ...options, "download", "musl"], { cwd: apt });
  await run(["sh", "-c", 'dpkg-deb -x "$1"/musl_*.deb "$1/unpacked"', "sh", apt]);
  mkdirSync(join(root, "lib"));
  const loader = join(root, "lib/ld-musl-x86_64.so.1");
  await run(["cp", "-L", join(apt, "unpacked/usr/lib/x86_64-linux-musl/libc.so"), loader]);
  symlinkSync("ld-musl-x86_64.so.1", join(root, "lib/libc.musl-x86_64.so.1"));
  for (const directory of ["data", "tmp", "etc"]) mkdirSync(join(root, directory));
}

async function addCxxLibrary(root: string): Promise<void> {
  const directory = emptyDir();
  const wheel = ["--only-binary", ":all:", "--platform", "musllinux_1_2_x86_64", "--python-version", "3.11"];
  await run([
    "python3",
    "-m",
    "pip",
    "download",
    "--quiet",
    "--no-deps",
    ...wheel,
    "-d",
    directory,
    CXX_LIBRARY,
  ]);
  await run(["sh", "-c", 'python3 -m zipfile -e "$1"/*.whl "$1/unpacked"', "sh", directory]);
  const libraries = join(directory, "unpacked/greenlet.libs");
  mkdirSync(join(root, "usr/lib"), { recursive: true });
  for (const file of readdirSync(libraries)) {
    const name = file.startsWith("libstdc++") ? "libstdc++.so.6" : file;
    cpSync(join(libraries, file), join(root, "usr/lib", name));
  }
}
