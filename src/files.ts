import { accessSync, closeSync, constants, fchownSync, openSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { messageOf, Refusal } from "./errors.ts";

/** What a person can do who may not use a file of a daemon's. */
export const AS_DAEMON = "run as the daemon's user";

export const MEND_PATH = "name another path, or mend this one";

const DENIALS = ["EACCES", "EPERM", "EROFS"];

/** Whether there is something at a path. Throws Refusal where that cannot be told, as what leads there may not be searched. */
export function isThere(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return false;
    const why = messageOf(error).split(",")[0];
    throw new Refusal(`cannot look at ${path} (${why})`, isDenied(error) ? AS_DAEMON : MEND_PATH);
  }
}

/** The same, but what cannot be looked at counts as there: whoever opens it is told why that cannot be. */
export function mayBeThere(path: string): boolean {
  try {
    return isThere(path);
  } catch {
    return true;
  }
}

/** Whether an error says that this user may not do what was tried, rather than that something is wrong with it. */
export function isDenied(error: unknown): boolean {
  return DENIALS.includes((error as NodeJS.ErrnoException).code ?? "");
}

/**
 * Opens a new file for writing (mode 0600), in place of one that a crash may have left. Root may work in the directory
 * of a daemon that runs as another user, who must be able to use what is made there: it belongs to the directory's owner.
 */
export function openNew(path: string): number {
  rmSync(path, { force: true });
  return create(path);
}

/** Makes an empty file in the same way where there is none. */
export function makeFile(path: string): void {
  if (isThere(path)) return;
  let file: number;
  try {
    file = create(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    // Another process was first, or it is a link to where nothing is yet.
    file = openSync(path, "a", 0o600);
  }
  closeSync(file);
}

/** Never what a link leads to, which somebody else may have put there. */
function create(path: string): number {
  const file = openSync(path, "wx", 0o600);
  giveToOwnerOf(dirname(path), (uid, gid) => fchownSync(file, uid, gid));
  return file;
}

/** What root has made in a directory is given to the directory's owner. */
export function giveToOwnerOf(directory: string, give: (uid: number, gid: number) => void): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(directory);
  if (uid === 0) return;
  try {
    give(uid, gid);
  } catch (error) {
    // Some file systems know no owners, and in some containers root may give nothing away.
    if (!["EPERM", "EINVAL", "ENOTSUP"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}

/** Whether this user may not read a file. */
export function isUnreadable(path: string): boolean {
  return DENIALS.includes(whyNot(path, constants.R_OK) ?? "");
}

/** The code of why this user cannot use a directory and write into it (EACCES, EROFS…); null when it can. */
export function whyNotWritable(directory: string): string | null {
  return whyNot(directory, constants.R_OK | constants.W_OK | constants.X_OK);
}

function whyNot(path: string, mode: number): string | null {
  try {
    accessSync(path, mode);
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unknown";
  }
}
