import { closeSync, existsSync, fsyncSync, lchownSync, mkdirSync, openSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { giveToOwnerOf } from "./files.ts";

/**
 * Makes a data directory (mode 0700) and what leads to it, where they are missing. Its name is on the disk when this
 * returns, also when it was made by a start that was cut short: a file in a directory that a power cut takes back is
 * gone, however well it was synced itself. What root makes belongs to the owner of the directory that it is made in.
 */
export function makeDataDir(dataDir: string): void {
  const path = resolve(dataDir);
  const first = makeDirectories(path);
  let parent = dirname(path);
  syncName(parent);
  if (first === undefined) return;
  giveToOwnerAbove(first, path);
  for (; parent !== dirname(first); parent = dirname(parent)) syncName(dirname(parent));
}

/** Answers the first directory that it has made; throws a sentence where something else is in the way. */
function makeDirectories(path: string): string | undefined {
  try {
    return mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    let present = path;
    while (!existsSync(present)) present = dirname(present);
    throw statSync(present).isDirectory() ? error : new Error(`${present} is not a directory`);
  }
}

/** From the first directory that was made to the last. */
function giveToOwnerAbove(first: string, last: string): void {
  giveToOwnerOf(dirname(first), (uid, gid) => {
    for (let path = last; path.length >= first.length; path = dirname(path)) lchownSync(path, uid, gid);
  });
}

/** Waits until the names in a directory are on the disk. */
export function syncDirectory(path: string): void {
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function syncName(parent: string): void {
  try {
    syncDirectory(parent);
  } catch (error) {
    // Who may not read a directory has not made anything in it just now, and some file systems sync no directories.
    if (!["EACCES", "EPERM", "EINVAL"].includes((error as { code?: string }).code ?? "")) throw error;
  }
}
