import { existsSync, lstatSync, readdirSync, statfsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Config } from "../config/config.ts";
import { messageOf } from "../errors.ts";
import { AS_DAEMON, isThere, isUnreadable, whyNotWritable } from "../files.ts";
import { fittingKeyPath, nextKeyPath, secretKeyExists, secretKeySource } from "../secrets/key-file.ts";
import type { Inspection } from "../store/inspection.ts";
import { DATABASE_FILE, readDeparture } from "../store/open.ts";

/** What one check of `doctor` came to; `hint` says what to do. */
export interface Finding {
  status: "ok" | "warn" | "fail";
  message: string;
  hint?: string;
}

export const ok = (message: string): Finding => ({ status: "ok", message });
export const warn = (message: string, hint: string): Finding => ({ status: "warn", message, hint });
export const fail = (message: string, hint: string): Finding => ({ status: "fail", message, hint });

/** Directory, owner and modes. */
export function checkDataDir({ dataDir }: Config): Finding {
  const stats = statSync(dataDir, { throwIfNoEntry: false });
  if (!stats) return checkParent(dataDir);
  if (!stats.isDirectory()) return fail(`${dataDir} is not a directory`, "choose another --data-dir");
  const barred = checkWritable(dataDir);
  if (barred !== null) return barred;
  const foreign = readdirSync(dataDir).filter((name) => ownerOf(join(dataDir, name)) !== stats.uid);
  if (foreign.length > 0) {
    return fail(
      `${foreign.join(", ")} in ${dataDir} belong to another user than the directory`,
      // A file's owner may have put a link there: -h gives away the link, never what it leads to.
      `chown -h --reference="${dataDir}" "${dataDir}"/*`,
    );
  }
  const open = openTo(dataDir);
  if (open.length > 0) {
    return warn(
      `${open.join(", ")} can be read by other users`,
      "chmod 0700 the directory and 0600 the files",
    );
  }
  return ok(`${dataDir} is private and can be written`);
}

/** Null for a directory that this user can use and write into. */
export function checkWritable(directory: string): Finding | null {
  const code = whyNotWritable(directory);
  if (code === null) return null;
  if (code === "EROFS") return fail(`${directory} is mounted read-only`, "mount it for writing");
  return fail(`${directory} cannot be written by this user`, `${AS_DAEMON}, or chown it to this one`);
}

function checkParent(dataDir: string): Finding {
  let parent = dirname(dataDir);
  while (!existsSync(parent)) parent = dirname(parent);
  if (whyNotWritable(parent) === null)
    return warn(`${dataDir} does not exist`, "serve makes it; or name another --data-dir");
  return fail(`${dataDir} does not exist and cannot be made in ${parent}`, "make it, owned by this user");
}

function ownerOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.uid;
}

/** The directory matters by itself; files only where it lets others in. */
function openTo(dataDir: string): string[] {
  if ((statSync(dataDir).mode & 0o077) === 0) return [];
  const isOpen = (path: string): boolean =>
    ((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o077) !== 0;
  const files = [DATABASE_FILE, "secret.key"].map((name) => join(dataDir, name));
  return [dataDir, ...files.filter(isOpen)];
}

const MIB = 1024 * 1024;
const DISK_WARN_BYTES = 1024 * MIB;
const DISK_FAIL_BYTES = 100 * MIB;

export function checkDisk({ dataDir }: Config): Finding {
  if (!isThere(dataDir)) return ok("not looked at: there is no data directory yet");
  const { bavail, bsize } = statfsSync(dataDir);
  const free = bavail * bsize;
  const message = `${Math.floor(free / MIB)} MiB free for ${dataDir}`;
  const hint = "free some, or shorten --retention; events are refused when the disk is full";
  if (free < DISK_FAIL_BYTES) return fail(message, hint);
  return free < DISK_WARN_BYTES ? warn(message, hint) : ok(message);
}

export function checkDatabase({ dataDir }: Config, inspection: Inspection | null): Finding {
  const departure = readDeparture(dataDir);
  if (departure) return fail(departure.message, departure.hint);
  const path = join(dataDir, DATABASE_FILE);
  if (!inspection && !isThere(path)) return ok(`there is no ${path} yet; serve makes it`);
  if (!inspection) return fail(`${path} could not be looked into`, AS_DAEMON);
  const { state, problems, facts } = inspection;
  if (state === "cut short") return warn(`${path}: a start was cut short`, "serve goes on with it by itself");
  if (state === "barred")
    return fail(`${path}: ${problems.join("; ")}`, `${AS_DAEMON}, with its disk mounted for writing`);
  if (state === "foreign") {
    return fail(
      `${path} holds tables of another program`,
      "name another --data-dir, or move the file away to start empty",
    );
  }
  if (state === "damaged") {
    return fail(
      `${path}: ${problems.join("; ")}`,
      "stop the daemon, keep a copy of the file, and restore a backup",
    );
  }
  if (facts?.isNewer) {
    return fail(
      `${path} was written by a newer version`,
      "install that version, or restore a backup made before the upgrade",
    );
  }
  if (!facts || facts.missingMigrations > 0)
    return ok(`${path} is whole; the next start brings it up to date`);
  return ok(`${path} is whole`);
}

export function checkSecretKey(config: Config, inspection: Inspection | null): Finding {
  const source = secretKeySource(config.dataDir, config.secretKeyFile);
  const facts = inspection?.facts;
  const sealed = facts?.sealed ?? null;
  if (!secretKeyExists(source)) {
    if (source.managed) return fail(`there is no ${source.path}`, "openssl rand -hex 32 makes a key");
    if (facts?.carriesKey) return ok("the database is a backup that carries its key; serve takes it over");
    if (!sealed) return ok(`there is no ${source.path} yet; serve makes it`);
    return fail(
      `${source.path} is missing, and webhook secrets in the database need it`,
      "restore it from a backup, or name it with --secret-key-file",
    );
  }
  try {
    const fitting = fittingKeyPath(source, sealed);
    if (fitting === source.path) return checkKeyMode(source.path, sealed !== null);
    if (fitting) return warn("a rotation of the secret key was cut short", "serve finishes it");
  } catch (error) {
    return fail(messageOf(error), keyHint(source.path));
  }
  return fail(
    `${source.path} is not the key that the webhook secrets were encrypted with`,
    "put the right key there, or name it with --secret-key-file",
  );
}

/** What to do about a key that cannot be used. */
export function keyHint(path: string): string {
  return isUnreadable(path) || isUnreadable(nextKeyPath({ path })) ? AS_DAEMON : "put the right key there";
}

function checkKeyMode(path: string, used: boolean): Finding {
  const mode = statSync(path).mode & 0o777;
  if ((mode & 0o077) === 0) return ok(used ? `${path} fits the database` : `${path} is there`);
  return warn(`${path} has mode ${mode.toString(8).padStart(4, "0")}`, `chmod 0600 "${path}"`);
}

/** No clock was right before this was written. */
const EARLIEST = Date.UTC(2026, 0, 1);
const TOLERANCE_MS = 5 * 60_000;

/** Receivers refuse signatures whose timestamp is more than five minutes off. */
export function checkClock(inspection: Inspection | null, now: number): Finding {
  const time = new Date(now).toISOString();
  const hint = "set the clock, and keep it right with NTP (timedatectl); receivers refuse wrong timestamps";
  if (now < EARLIEST) return fail(`it cannot be ${time}`, hint);
  const newest = inspection?.facts?.newestEventAt ?? null;
  if (newest !== null && newest - now > TOLERANCE_MS) {
    return fail(`it is ${time}, but the newest event came at ${new Date(newest).toISOString()}`, hint);
  }
  const offset = inspection?.facts?.clock?.offset ?? 0;
  if (Math.abs(offset) > TOLERANCE_MS) {
    const minutes = Math.round(Math.abs(offset) / 60_000);
    return warn(
      `the clock was set ${offset < 0 ? "forward" : "back"} by ${minutes} minutes in all since the first start`,
      "nothing, if it is right now: schedules do not follow it",
    );
  }
  return ok(`it is ${time}`);
}
