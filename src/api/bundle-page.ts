import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

/** A file of the page under its hashed name, compressed once and for all; the bytes are written in base64. */
export interface BundledFile {
  name: string;
  brotli: string;
  gzip: string;
}

const SOURCES = join(import.meta.dir, "../dashboard");

/**
 * Bundles the page for browsers. It is called as a macro, while the program itself is bundled, and then its answer is
 * part of the binary; from the sources it runs when the page is asked for the first time. Throws what the bundler says.
 */
export function bundlePage(): BundledFile[] {
  const directory = mkdtempSync(join(tmpdir(), "armorhooks-page-"));
  try {
    // In a process of its own: the bundler that runs a macro waits for it, and cannot bundle meanwhile.
    const { exitCode, stderr } = Bun.spawnSync([
      process.execPath,
      "build",
      join(SOURCES, "main.tsx"),
      "--production",
      "--outdir",
      directory,
      "--entry-naming=[name]-[hash].[ext]",
    ]);
    if (exitCode !== 0) throw new Error(`the page cannot be bundled: ${stderr.toString()}`);
    const bundled = readdirSync(directory).map((name) => compress(name, readFileSync(join(directory, name))));
    const icon = readFileSync(join(SOURCES, "icon.svg"));
    return [...bundled, compress(`icon-${Bun.hash(icon).toString(36)}.svg`, icon)];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function compress(name: string, bytes: Buffer): BundledFile {
  const params = { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  return {
    name,
    brotli: brotliCompressSync(bytes, { params }).toString("base64"),
    gzip: gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }).toString("base64"),
  };
}
