import { dirname } from "node:path";
import { pick } from "../support/random.ts";
import { type Bytes, createBytes } from "./bytes.ts";
import { type Image, isVolatile, type Snapshot } from "./image.ts";
import type { Entry } from "./record.ts";

/**
 * A disk under the recorded changes. What a completed sync covers is on it; of everything else, a power cut may have
 * left all, nothing or a part, and of a write any of its sectors.
 */
export interface Disk {
  apply(entry: Entry): void;
  /** What the disk may hold if the power is cut now. */
  cut(random: () => number, manner: Manner): Image;
}

export interface Manner {
  /** Of what no sync covers. */
  unsynced: "all" | "nothing" | "some";
  /**
   * When a name is on the disk: once its directory was synced (`strict`, what POSIX promises), or with any later sync,
   * in order (`ordered`, as in the journals of ext4 and XFS).
   */
  names: "strict" | "ordered";
}

/** What a sync was of; the checks of the method leave out one kind at a time. */
export type SyncKind = "log" | "database" | "journal" | "key" | "directory" | "other";

type Change =
  | { at: number; kind: "write"; offset: number; data: Buffer; lost: boolean }
  | { at: number; kind: "truncate"; length: number; lost: boolean };

interface File {
  isDirectory: boolean;
  synced: Bytes;
  /** What no completed sync covers. */
  changes: Change[];
}

interface NameChange {
  at: number;
  file: File;
  /** Empty where the file is new. */
  from: string;
  /** Empty where the file is removed. */
  to: string;
}

interface Names {
  synced: Map<string, File>;
  changes: NameChange[];
}

const SECTOR = 512;
/** Of writes that no sync covers and that are there, how many are so in part. */
const TORN = 0.4;

/** All of `before` is on the disk; syncs of one kind can be treated as if they had not been. */
export function createDisk(before: Snapshot, without: SyncKind | null = null): Disk {
  const inodes = new Map<number, File>();
  const current = new Map<string, File>();
  for (const { path, inode, bytes } of before) {
    const file = { ...newFile(bytes === null), synced: createBytes(bytes ?? undefined) };
    current.set(path, file);
    inodes.set(inode, file);
  }
  const strict: Names = { synced: new Map(current), changes: [] };
  const ordered: Names = { synced: new Map(current), changes: [] };
  /** When each sync began. */
  const begun = new Map<number, number>();
  let clock = 0;

  const rename = (file: File, from: string, to: string): void => {
    if (from !== "") current.delete(from);
    if (to !== "") current.set(to, file);
    for (const names of [strict, ordered]) names.changes.push({ at: clock, file, from, to });
  };

  const add = ({ kind, inode, number, data }: Entry): void => {
    const file = inodes.get(inode);
    if (kind === "write") file?.changes.push({ at: clock, kind, offset: number, data, lost: false });
    else file?.changes.push({ at: clock, kind: "truncate", length: number, lost: false });
  };

  const sync = ({ path, inode, number }: Entry): void => {
    const kind = kindOf(path, current);
    if (kind === without) return;
    const before = begun.get(number) as number;
    const isCovered = ({ at }: { at: number }): boolean => at < before;
    settleNames(ordered, isCovered);
    if (kind === "directory")
      settleNames(
        strict,
        (change) => isCovered(change) && dirname(`/${change.to || change.from}`) === `/${path}`,
      );
    else settle(inodes.get(inode), isCovered);
  };

  const fail = ({ inode, number }: Entry): void => {
    const before = begun.get(number) as number;
    for (const change of inodes.get(inode)?.changes ?? []) if (change.at < before) change.lost = true;
  };

  return {
    apply(entry) {
      clock += 1;
      const { kind, path, other, inode, number } = entry;
      if (isVolatile(path)) return;
      const file = current.get(path);
      if (kind === "create") {
        const made = newFile(false);
        inodes.set(inode, made);
        rename(made, "", path);
      } else if (kind === "mkdir") rename(newFile(true), "", path);
      else if (kind === "rename" && file) rename(file, path, other);
      else if (kind === "unlink" && file) rename(file, path, "");
      else if (kind === "write" || kind === "truncate") add(entry);
      else if (kind === "sync began") begun.set(number, clock);
      else if (kind === "sync ended") sync(entry);
      else if (kind === "sync failed") fail(entry);
    },
    cut(random, { unsynced, names }) {
      const share = unsynced === "some" ? pick(random, [0.05, 0.5, 0.95]) : unsynced === "all" ? 1 : 0;
      const left = namesLeft(names === "strict" ? strict : ordered, {
        random,
        share,
        inOrder: names === "ordered",
      });
      const isThere = (path: string): boolean =>
        path === "." || (left.get(path)?.isDirectory === true && isThere(dirname(path)));
      const there = [...left].filter(([path]) => isThere(dirname(path)));
      return {
        directories: there.flatMap(([path, { isDirectory }]) => (isDirectory ? [path] : [])),
        files: there.flatMap(([path, file]) =>
          file.isDirectory ? [] : [{ path, bytes: contentLeft(file, random, share) }],
        ),
      };
    },
  };
}

function newFile(isDirectory: boolean): File {
  return { isDirectory, synced: createBytes(), changes: [] };
}

function kindOf(path: string, current: ReadonlyMap<string, File>): SyncKind {
  if (path === "" || current.get(path)?.isDirectory) return "directory";
  if (path.endsWith(".db-wal")) return "log";
  if (path.endsWith(".db-journal")) return "journal";
  if (path.endsWith("/armorhooks.db")) return "database";
  return path.includes("secret.key") ? "key" : "other";
}

function settleNames(names: Names, isCovered: (change: NameChange) => boolean): void {
  const rest: NameChange[] = [];
  for (const change of names.changes) {
    if (isCovered(change)) applyName(names.synced, change);
    else rest.push(change);
  }
  names.changes = rest;
}

function applyName(names: Map<string, File>, { file, from, to }: NameChange): void {
  // A file cannot be renamed or removed under a name that the disk never got.
  if (from !== "" && names.get(from) !== file) return;
  if (from !== "") names.delete(from);
  if (to !== "") names.set(to, file);
}

interface Luck {
  random: () => number;
  /** How much of what is not synced is there all the same, from 0 to 1. */
  share: number;
  inOrder: boolean;
}

function namesLeft({ synced, changes }: Names, { random, share, inOrder }: Luck): Map<string, File> {
  const left = new Map(synced);
  for (const change of changes) {
    const isThere = random() < share;
    if (isThere) applyName(left, change);
    else if (inOrder) break;
  }
  return left;
}

function settle(file: File | undefined, isCovered: (change: Change) => boolean): void {
  if (!file) return;
  const rest: Change[] = [];
  for (const change of file.changes) {
    if (change.lost || !isCovered(change)) rest.push(change);
    else applyChange(file.synced, change);
  }
  // What was lost may be on the disk, but not in the place of what was synced after it.
  const covered = file.changes.filter((change) => !rest.includes(change));
  file.changes = rest.flatMap((change) => (change.lost ? uncovered(change, covered) : [change]));
}

/** What is left of a lost change once later ones were synced over it. */
function uncovered(change: Change, covered: readonly Change[]): Change[] {
  if (change.kind === "truncate") return covered.length > 0 ? [] : [change];
  let parts = [change];
  for (const over of covered) {
    if (over.kind !== "write" || over.at < change.at) continue;
    const [from, to] = [over.offset, over.offset + over.data.length];
    parts = parts.flatMap((part) => {
      const end = part.offset + part.data.length;
      if (from >= end || to <= part.offset) return [part];
      const before = part.data.subarray(0, Math.max(0, from - part.offset));
      const after = part.data.subarray(Math.min(part.data.length, to - part.offset));
      return [
        { ...part, data: before },
        { ...part, offset: end - after.length, data: after },
      ].filter(({ data }) => data.length > 0);
    });
  }
  return parts;
}

function contentLeft({ synced, changes }: File, random: () => number, share: number): Buffer {
  if (changes.length === 0 || share === 0) return synced.copy();
  const left = createBytes(synced.copy());
  for (const change of changes) {
    const luck = random() / share;
    if (luck < TORN && change.kind === "write" && share < 1) tear(left, change, random);
    else if (luck < 1) applyChange(left, change);
  }
  return left.copy();
}

function applyChange(bytes: Bytes, change: Change): void {
  if (change.kind === "write") bytes.write(change.offset, change.data);
  else bytes.truncate(change.length);
}

/** Some of the sectors of a write, as a disk may write them in any order. */
function tear(bytes: Bytes, { offset, data }: { offset: number; data: Buffer }, random: () => number): void {
  for (let from = 0; from < data.length; ) {
    const to = Math.min(data.length, from + SECTOR - ((offset + from) % SECTOR));
    if (random() < 0.5) bytes.write(offset + from, data.subarray(from, to));
    from = to;
  }
}
