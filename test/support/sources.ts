import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

export const ROOT = join(import.meta.dir, "../..");

/** The text of a file of the project. */
export function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** Every file below these directories, as paths of the project. */
export function filesBelow(...directories: string[]): string[] {
  return directories
    .filter((directory) => existsSync(join(ROOT, directory)))
    .flatMap((directory) => [...new Bun.Glob(`${directory}/**/*`).scanSync({ cwd: ROOT, dot: true })])
    .sort();
}

/** Whether the text mentions something as code, not in a comment. */
export function mentions(path: string, what: RegExp): boolean {
  return what.test(withoutComments(read(path)));
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
}

const SPECIFIER =
  /^import\s*"([^"]+)"|^(?:import|export)\b[^"';=(]*\bfrom\s*"([^"]+)"|\bimport\(\s*"([^"]+)"\s*\)/gm;

/** What a source file imports, types too: files of the project as paths of the project, the rest as written. */
export function importsOf(path: string): string[] {
  const found = [...withoutComments(read(path)).matchAll(SPECIFIER)];
  return found.map((groups) => {
    const specifier = groups.slice(1).find((group) => group !== undefined) ?? "";
    return specifier.startsWith(".") ? join(dirname(path), specifier) : specifier;
  });
}

const transpilers = {
  ts: new Bun.Transpiler({ loader: "ts" }),
  tsx: new Bun.Transpiler({ loader: "tsx" }),
};

/** Whether a source file does nothing when it runs: it has types only. */
export function isTypesOnly(path: string): boolean {
  return transpilers[path.endsWith(".tsx") ? "tsx" : "ts"].transformSync(read(path)).trim() === "";
}

/** Whether an import is of the runtime itself. */
export function isBuiltIn(specifier: string): boolean {
  return /^(node:|bun$|bun:)/.test(specifier);
}

/** The package of a bare specifier; null for a file of the project and for what the runtime brings. */
export function packageOf(specifier: string): string | null {
  if (isBuiltIn(specifier) || existsSync(join(ROOT, specifier))) return null;
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}
