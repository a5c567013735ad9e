import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Files, with their bytes, and directories, by their paths below a directory. */
export type Snapshot = readonly { path: string; inode: number; bytes: Buffer | null }[];

/** What a disk holds. */
export interface Image {
  directories: string[];
  files: { path: string; bytes: Buffer }[];
}

/** SQLite's shared memory means nothing after a cut: it is made anew. */
export const isVolatile = (path: string): boolean => path.endsWith("-shm");

/** A directory as it is now. */
export function takeSnapshot(root: string, under = ""): Snapshot {
  return readdirSync(join(root, under)).flatMap((name) => {
    const path = join(under, name);
    const stats = statSync(join(root, path));
    const bytes = stats.isFile() ? readFileSync(join(root, path)) : null;
    const own = (stats.isFile() || stats.isDirectory()) && !isVolatile(path);
    const deeper = stats.isDirectory() ? takeSnapshot(root, path) : [];
    return own ? [{ path, inode: stats.ino, bytes }, ...deeper] : deeper;
  });
}

/** Writes what a disk holds into a directory. */
export function writeImage({ directories, files }: Image, into: string): void {
  mkdirSync(into, { recursive: true });
  for (const path of directories.sort()) mkdirSync(join(into, path), { recursive: true, mode: 0o700 });
  for (const { path, bytes } of files) writeFileSync(join(into, path), bytes, { mode: 0o600 });
}
