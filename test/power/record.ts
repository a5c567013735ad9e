import { readFileSync } from "node:fs";
import { relative } from "node:path";

/** What recorder.c wrote down, in order. */
export type Kind =
  | "create"
  | "write"
  | "truncate"
  | "sync began"
  | "sync ended"
  | "sync failed"
  | "rename"
  | "unlink"
  | "mkdir"
  | "unknown";

export interface Entry {
  kind: Kind;
  /** Below the recorded directory; empty for that itself. */
  path: string;
  /** The new path of a rename. */
  other: string;
  inode: number;
  /** An offset for a write, a length for a truncation, the number of a sync. */
  number: number;
  data: Buffer;
  /** Bytes of the record up to here: what was seen from outside is dated by the size that the record then had. */
  end: number;
}

/** As in recorder.c. */
const KINDS: readonly Kind[] = [
  "create",
  "write",
  "truncate",
  "sync began",
  "sync ended",
  "sync failed",
  "rename",
  "unlink",
  "mkdir",
  "unknown",
];
const HEADER_BYTES = 32;

/** Reads a whole record; throws when it holds a change that disks are not built with. */
export function readRecord(file: string, root: string): Entry[] {
  const bytes = readFileSync(file);
  const entries: Entry[] = [];
  for (let at = 0; at < bytes.length; ) {
    const entry = readEntry(bytes.subarray(at), root);
    at += bytes.readUInt32LE(at);
    if (entry.kind === "unknown") throw new Error(`${entry.path} was changed by system call ${entry.number}`);
    entries.push({ ...entry, end: at });
  }
  return entries;
}

function readEntry(bytes: Buffer, root: string): Omit<Entry, "end"> {
  const pathEnd = HEADER_BYTES + bytes.readUInt16LE(6);
  const otherEnd = pathEnd + bytes.readUInt32LE(8);
  const other = bytes.toString("utf8", pathEnd, otherEnd);
  return {
    kind: KINDS[bytes.readUInt16LE(4) - 1] as Kind,
    path: relative(root, bytes.toString("utf8", HEADER_BYTES, pathEnd)),
    other: other === "" ? "" : relative(root, other),
    inode: Number(bytes.readBigUInt64LE(16)),
    number: Number(bytes.readBigUInt64LE(24)),
    data: bytes.subarray(otherEnd, bytes.readUInt32LE(0)),
  };
}
