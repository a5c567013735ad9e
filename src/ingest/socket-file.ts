import {
  accessSync,
  chmodSync,
  constants,
  lchownSync,
  lstatSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
} from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { messageOf, UsageError } from "../errors.ts";
import { giveToOwnerOf, isDenied } from "../files.ts";

/** Refuses a path that is no socket or that another process listens on; a socket left by a crash may be replaced. */
export async function checkSocketPath(path: string): Promise<void> {
  checkDirectory(dirname(path));
  const stats = statOf(path);
  if (!stats) return;
  if (!stats.isSocket()) {
    throw new UsageError(`${path} exists and is not a socket; choose another --socket or move it away`, 1);
  }
  const answer = await probeSocket(path);
  if (answer === "denied" && stats.uid !== process.getuid?.()) {
    throw new UsageError(
      `${path} is another user's, and whether a process listens on it cannot be told; remove it, or choose another --socket`,
      1,
    );
  }
  // Who is too busy to answer listens all the same.
  if (answer === "connected" || answer === "silent") {
    throw new UsageError(`another process is listening on ${path}; stop it or choose another --socket`, 1);
  }
}

/** The runtime would say no more than that it failed to listen. Throws UsageError. */
function checkDirectory(directory: string): void {
  const problem = problemOf(directory);
  if (problem === null) return;
  throw new UsageError(`cannot make the socket: ${directory} ${problem}, or choose another --socket`, 1);
}

function problemOf(directory: string): string | null {
  const stats = statSync(directory, { throwIfNoEntry: false });
  if (!stats) return "does not exist; make it, owned by this user";
  if (!stats.isDirectory()) return "is not a directory; move it away";
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    return null;
  } catch {
    return "cannot be written by this user; chown it";
  }
}

/**
 * Listens under a temporary name with the mode already set, then renames it into place: nobody can connect
 * before the mode holds, and a stale file is replaced in one step. Root's belongs to the directory's owner. Answers a function that removes the file
 * unless another process has replaced it by then.
 */
export function placeSocket(path: string, mode: number, listen: (temporary: string) => void): () => void {
  const temporary = `${path}.${process.pid}`;
  const umask = process.umask(0o777 & ~mode);
  try {
    listen(temporary);
  } catch (error) {
    throw new UsageError(`cannot listen on the socket ${path}: ${messageOf(error)}`, 1);
  } finally {
    process.umask(umask);
  }
  const made = lstatSync(temporary);
  // The mode holds already but where a default ACL is, and chmod follows a link, which the directory's owner may put there.
  if (made.isSocket() && (made.mode & 0o7777) !== mode) chmodSync(temporary, mode);
  // When root's daemon was killed, the daemon's user could not tell whether somebody listens on a socket of root's.
  giveToOwnerOf(dirname(path), (uid, gid) => lchownSync(temporary, uid, gid));
  renameSync(temporary, path);
  const ours = lstatSync(path);
  return () => {
    const now = statOf(path);
    if (now && now.ino === ours.ino && now.dev === ours.dev) unlinkSync(path);
  };
}

function statOf(path: string): Stats | null {
  return lstatSync(path, { throwIfNoEntry: false }) ?? null;
}

const PROBE_MS = 1_000;

/** `denied`: this user may not connect, so that it cannot be told whether somebody listens. */
export type ProbeAnswer = "connected" | "refused" | "denied" | "silent";

/** Tries to connect to a Unix socket, for at most a second. */
export function probeSocket(path: string): Promise<ProbeAnswer> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const settle = (answer: ProbeAnswer): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => settle("connected"));
    socket.once("error", (error) => settle(isDenied(error) ? "denied" : "refused"));
    socket.setTimeout(PROBE_MS, () => settle("silent"));
  });
}
