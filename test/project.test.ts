import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import manifest from "../package.json";
import {
  filesBelow,
  importsOf,
  isBuiltIn,
  isTypesOnly,
  mentions,
  packageOf,
  ROOT,
  read,
} from "./support/sources.ts";

const sources = filesBelow("src").filter((path) => /\.tsx?$/.test(path));
const others = [
  ...filesBelow("test", "bench", "release").filter((path) => path.endsWith(".ts")),
  "drizzle.config.ts",
];
const dependencies: Record<string, string> = manifest.dependencies;
const devDependencies: Record<string, string> = manifest.devDependencies;

describe("the version of Bun", () => {
  const pinned = manifest.packageManager;

  test("is exact, in package.json", () => {
    expect(pinned).toMatch(/^bun@\d+\.\d+\.\d+$/);
  });

  test.each(["Dockerfile", ".ci/run"])("is read from there by %s, which names none itself", (path) => {
    expect(read(path)).toContain("packageManager");
    expect(read(path)).not.toMatch(/\bbun@v?\d|\bbun:\d|\bbun-v\d/);
  });

  test.if(existsSync(join(ROOT, "README.md")))("is the one that the README tells people to run", () => {
    const named = read("README.md").match(/\bbun@[\w.^~-]*\w/g) ?? [];
    expect(named.length).toBeGreaterThan(0);
    expect([...new Set(named)]).toEqual([pinned]);
  });
});

describe("dependencies", () => {
  const lock = JSON.parse(read("bun.lock").replace(/,(\s*[}\]])/g, "$1"));

  test("are pinned to exact versions, the same in the lockfile", () => {
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
      expect(version, name).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
      expect(lock.packages[name]?.[0]).toBe(`${name}@${version}`);
    }
    expect(lock.workspaces[""]).toMatchObject({ dependencies, devDependencies });
  });

  test("are locked to a version and a checksum each, from whichever registry is configured", () => {
    expect(read("bun.lock")).not.toMatch(/https?:|git[+@:]|github:/);
    for (const [place, [id, registry, , checksum]] of Object.entries<string[]>(lock.packages)) {
      expect(id, place).toMatch(/.@\d+\.\d+\.\d+/);
      expect(registry, place).toBe("");
      expect(checksum, place).toMatch(/^sha512-/);
    }
  });

  test("are all used: those of the program in src, the others by tests, benchmark or tools", () => {
    const imported = (files: string[]) => new Set(files.flatMap(importsOf).map(packageOf));
    const bySources = imported(sources);
    expect(Object.keys(dependencies).filter((name) => !bySources.has(name))).toEqual([]);

    const commands = Object.values(manifest.scripts).join(" ");
    const asTool: Record<string, boolean> = {
      "@biomejs/biome": commands.includes("biome check"),
      typescript: commands.includes("tsc --noEmit"),
      "@types/bun": read("tsconfig.json").includes('"types": ["bun"]'),
    };
    const byOthers = imported(others);
    expect(Object.keys(devDependencies).filter((name) => !byOthers.has(name) && !asTool[name])).toEqual([]);
  });

  test("run no install script", () => {
    expect(manifest.trustedDependencies).toEqual([]);
  });

  test("are all declared: nothing is imported that only came along", () => {
    const undeclared = (files: string[], declared: object) =>
      files.flatMap((path) =>
        importsOf(path)
          .map(packageOf)
          .filter((name) => name !== null && !Object.hasOwn(declared, name))
          .map((name) => `${path} imports ${name}`),
      );
    expect(undeclared(sources, dependencies)).toEqual([]);
    expect(undeclared(others, { ...dependencies, ...devDependencies })).toEqual([]);
  });
});

/** Which layers each layer may import; as docs/ARCHITECTURE.md draws it. */
const MAY_IMPORT: Record<string, string[]> = {
  main: ["cli"],
  cli: ["client", "daemon", "config", "api", "ingest", "delivery", "store", "secrets", "log", "pure"],
  daemon: ["config", "api", "ingest", "delivery", "store", "secrets", "log", "pure"],
  config: ["delivery", "log", "pure"],
  api: ["store", "pure"],
  ingest: ["pure"],
  delivery: ["store", "log", "pure"],
  store: ["secrets", "log", "pure"],
  secrets: ["pure"],
  log: ["pure"],
  pure: ["package.json"],
  client: [],
  // It runs in browsers: nothing of the daemon is in it, but words and how messages are written.
  dashboard: ["client", "delivery", "pure"],
  scanner: [],
};
const FILES: Record<string, string> = { main: "main", log: "log", metrics: "log" };
const PURE = [
  "errors",
  "ids",
  "plans",
  "formats",
  "clock",
  "beat",
  "directories",
  "files",
  "migration-journal",
  "outcomes",
  "scan-words",
  "spared",
  "timestamp",
  "webhook-changes",
  "webhook-secrets",
  "latency-histogram",
  "webhook-filter",
  "webhook-subscribers",
  "webhook-headers",
  "version",
  "threads",
  "descriptors",
  "assets.d",
];

/** The layer of a file: its directory, or what its name stands for. What joins layers belongs to the daemon. */
function layerOf(path: string): string {
  const [top = "", directory = "", ...deeper] = path.split("/");
  if (top === "drizzle") return "store";
  if (top !== "src") return top;
  if (deeper.length > 0) return directory;
  const name = directory.replace(/\.ts$/, "");
  return FILES[name] ?? (PURE.includes(name) ? "pure" : "daemon");
}

describe("the layers", () => {
  const edges = sources.flatMap((path) =>
    importsOf(path)
      .filter((target) => packageOf(target) === null && !isBuiltIn(target))
      .map((target) => ({ path, target, from: layerOf(path), to: layerOf(target) })),
  );

  test("import in one direction only", () => {
    const wrong = edges.filter(({ from, to }) => from !== to && !MAY_IMPORT[from]?.includes(to));
    expect(wrong.map(({ path, target }) => `${path} imports ${target}`)).toEqual([]);
  });

  test("the page takes of the daemon only words and how messages are written", () => {
    const ofDaemon = edges.filter(
      ({ from, to }) => from === "dashboard" && !["dashboard", "client"].includes(to),
    );
    const taken = new Set(ofDaemon.map(({ target }) => target));
    expect([...taken].filter((target) => !target.startsWith("src/delivery/formats/")).sort()).toEqual([
      "src/formats.ts",
      "src/outcomes.ts",
      "src/scan-words.ts",
    ]);
  });

  test("are complete: every directory of src is one of them", () => {
    const layers = new Set(sources.map(layerOf));
    expect([...layers].filter((layer) => !MAY_IMPORT[layer])).toEqual([]);
  });

  test("have no circles, types included", () => {
    const done = new Set<string>();
    const visit = (path: string, trail: string[]): void => {
      if (trail.includes(path)) throw new Error([...trail.slice(trail.indexOf(path)), path].join(" → "));
      if (done.has(path)) return;
      const targets = importsOf(path).filter((target) => sources.includes(target));
      for (const target of targets) visit(target, [...trail, path]);
      done.add(path);
    };
    for (const path of sources) visit(path, []);
    expect(done.size).toBe(sources.length);
  });

  test("are imported as the table says, and not less: it is how the program is built", () => {
    const unused = Object.entries(MAY_IMPORT).flatMap(([from, targets]) =>
      targets
        .filter((to) => !edges.some((edge) => edge.from === from && edge.to === to))
        .map((to) => `${from} → ${to}`),
    );
    expect(unused).toEqual([]);
  });
});

describe("the ports of the store", () => {
  const WAY_IN = "src/store/open.ts";
  const ports = sources.filter((path) => /^src\/store\/[^/]+$/.test(path));
  const isBehind = (path: string): boolean => /^src\/store\/.+\//.test(path);

  test("are types alone, beside the way in and what a fault of the store is", () => {
    const running = ports.filter((path) => !isTypesOnly(path));
    expect(running.sort()).toEqual(["src/store/faults.ts", WAY_IN]);
  });

  test("say nothing of what is behind them, which one file knows", () => {
    const behind = sources.filter((path) => !isBehind(path) && importsOf(path).some(isBehind));
    expect(behind).toEqual([WAY_IN]);
  });

  test("have two stores behind them, neither of which takes anything from the other", () => {
    const storeOf = (path: string) => /^src\/store\/(sqlite|postgres)\//.exec(path)?.[1];
    const crossing = sources.flatMap((path) =>
      importsOf(path)
        .filter((target) => storeOf(path) && storeOf(target) && storeOf(path) !== storeOf(target))
        .map((target) => `${path} imports ${target}`),
    );
    expect(crossing).toEqual([]);
  });
});

describe("one owner each", () => {
  const owners: [what: string, of: string, has: (path: string) => boolean, owner: RegExp][] = [
    [
      "the environment",
      "config and the command line's output",
      (path) => mentions(path, /\bprocess\.env\b|\bBun\.env\b|\bimport\.meta\.env\b/),
      /^src\/(config\/\w+|cli\/output|cli\/program)\.ts$/,
    ],
    [
      "drizzle and bun:sqlite",
      "the stores",
      (path) => imports(path, /^(drizzle-orm|bun:sqlite)/),
      /^src\/store\/(sqlite\/|postgres\/schema)/,
    ],
    [
      "SQL",
      "the stores",
      (path) =>
        mentions(path, /["'`]\s*(select\s.*\bfrom|insert into|update \w+ set|delete from|pragma)\s/is),
      /^src\/store\/(sqlite|postgres)\//,
    ],
    [
      "standard output",
      "results, the daemon's log and its first key",
      (path) =>
        mentions(path, /\bconsole\.(log|info|table)\b|\bprocess\.stdout\.write\b|\bSTDOUT\b|\bBun\.stdout\b/),
      /^src\/cli\/(results|output|serve)\.ts$/,
    ],
    ["elysia", "api", (path) => imports(path, /^(elysia|@elysiajs)/), /^src\/api\//],
    [
      "p-retry",
      "retry policy and notifier",
      (path) => imports(path, /^p-retry/),
      /^src\/(delivery\/retry-policy|notifier)\.ts$/,
    ],
    ["prom-client", "metrics", (path) => imports(path, /^prom-client/), /^src\/metrics\.ts$/],
    [
      "commander",
      "config and the command line",
      (path) => imports(path, /^commander/),
      /^src\/(config|cli)\//,
    ],
  ];

  function imports(path: string, what: RegExp): boolean {
    return importsOf(path).some((specifier) => what.test(specifier));
  }

  test.each(owners)("%s: %s", (_what, _of, has, owner) => {
    const found = sources.filter(has);
    expect(found.length).toBeGreaterThan(0);
    expect(found.filter((path) => !owner.test(path))).toEqual([]);
  });
});

describe("files of one thing", () => {
  const MOST_LINES = 250;
  const linesOf = (path: string): number => read(path).trimEnd().split("\n").length;
  /** In the comment at the head of a file, before anything that it exports. */
  const givesReason = (path: string): boolean =>
    /^ \* Over 250 lines: .{20,}\.$/m.test(read(path).split(/^export /m)[0] ?? "");

  test("are no longer than 250 lines, unless they say why", () => {
    const long = sources.filter((path) => linesOf(path) > MOST_LINES);
    expect(long.filter((path) => !givesReason(path))).toEqual([]);
  });

  test("say why only where they are", () => {
    const excused = sources.filter(givesReason);
    expect(excused.length).toBeGreaterThan(0);
    expect(excused.filter((path) => linesOf(path) <= MOST_LINES)).toEqual([]);
  });
});

test("nothing is left as a note to be done later", () => {
  // In two parts, so that this file does not find itself.
  const notes = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"].join("|")})\\b`);
  const files = [
    ...filesBelow("src", "test", "bench", "release", "clients", "deploy", ".ci"),
    "Dockerfile",
    "README.md",
  ];
  const found = files.filter((path) => existsSync(join(ROOT, path)) && notes.test(read(path)));
  expect(found).toEqual([]);
});
