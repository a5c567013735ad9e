import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { atEnd } from "./e2e.ts";

/** Something that keeps a running daemon from writing to its data directory, and can be taken away again. */
export interface Fault {
  name: string;
  /** Whether the next process meets it too. */
  lasts: boolean;
  /** Before the first start. */
  prepare(dataDir: string): void;
  inject(daemon: { pid: number; dataDir: string }): void;
  /** The daemon may have ended by then. */
  heal(daemon: { pid: number; dataDir: string }): void;
}

function run(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

/** File systems can be mounted by root only, and not in every container. */
export const canMount = (() => {
  if (process.getuid?.() !== 0) return false;
  return Bun.spawnSync(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).exitCode === 0;
})();

/** The size that no file of the process may outgrow, in bytes; a write beyond it fails with EFBIG. */
function limitFiles(pid: number, size: string): void {
  run("prlimit", "--pid", String(pid), `--fsize=${size}:unlimited`);
}

/** The limit goes with its process. */
function unlimitFiles({ pid }: { pid: number }): void {
  if (existsSync(`/proc/${pid}`)) limitFiles(pid, "unlimited");
}

/** No write succeeds, wherever in a file it is: as on a disk that has become read-only. */
const nothingCanBeWritten: Fault = {
  name: "when no write succeeds",
  lasts: false,
  prepare: () => {},
  inject: ({ pid }) => limitFiles(pid, "0"),
  heal: unlimitFiles,
};

const ballast = (dataDir: string) => join(dataDir, "ballast");

const diskIsFull: Fault = {
  name: "when the disk is full",
  lasts: true,
  prepare(dataDir) {
    mkdirSync(dataDir, { mode: 0o700 });
    run("mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", dataDir);
    atEnd(() => run("umount", "--lazy", dataDir));
  },
  inject: ({ dataDir }) => fill(ballast(dataDir)),
  heal: ({ dataDir }) => rmSync(ballast(dataDir)),
};

function fill(path: string): void {
  try {
    for (;;) writeFileSync(path, Buffer.alloc(4096), { flag: "a" });
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOSPC") throw error;
  }
}

/** Where no small disk can be mounted: files cannot grow, but what they hold can be overwritten. */
const filesCannotGrow: Fault = {
  name: "when files cannot grow",
  lasts: false,
  prepare: () => {},
  inject: ({ pid, dataDir }) => limitFiles(pid, String(statSync(join(dataDir, "armorhooks.db-wal")).size)),
  heal: unlimitFiles,
};

export const FAULTS: readonly Fault[] = [nothingCanBeWritten, canMount ? diskIsFull : filesCannotGrow];

/** Makes a directory read-only for everybody until the test is over. */
export function makeReadOnly(dir: string): void {
  if (canMount) {
    run("mount", "--bind", dir, dir);
    atEnd(() => run("umount", "--lazy", dir));
    run("mount", "-o", "remount,ro,bind", dir);
    return;
  }
  for (const name of readdirSync(dir)) chmodSync(join(dir, name), 0o400);
  chmodSync(dir, 0o500);
  atEnd(() => chmodSync(dir, 0o700));
}
