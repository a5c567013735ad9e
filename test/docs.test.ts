import { describe, expect, test } from "bun:test";
import { existsSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import manifest from "../package.json";
import { runCommand } from "./support/daemon.ts";
import { headingsOf, withoutBlocks } from "./support/markdown.ts";
import { filesBelow, ROOT, read } from "./support/sources.ts";

const CONTRACT = "docs/CONTRACT.md";
const ARCHITECTURE = "docs/ARCHITECTURE.md";
const PAGES = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  ...filesBelow("docs", "clients").filter((path) => path.endsWith(".md") && !path.includes("node_modules")),
];
const FOLDERS = ["src", "test", "bench", "release", "docs", "drizzle", "deploy", "clients", ".ci"];
const files = filesBelow(...FOLDERS).filter((path) => !path.includes("node_modules"));
const names = new Set(files.map((path) => basename(path)));

/** Everything in a page's sentences that is set as code. */
function codesOf(page: string): string[] {
  return [...withoutBlocks(page).matchAll(/`([^`\n]+)`/g)].map(([, code]) => code ?? "");
}

/** As GitHub makes the anchor of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

/** Files that a page speaks of by their names alone, as `choice.ts`, or by the end of their paths. */
function isKnown(path: string): boolean {
  return path.includes("/") ? files.some((file) => file.endsWith(`/${path}`)) : names.has(path);
}

/** Titles of a file's tests and their groups, and of the rows of its tables. */
function titlesOf(path: string): string[] {
  const titles = read(path).matchAll(
    /(?:\b(?:test|describe)(?:\.\w+)?\(|\)\(|^ *\[)\s*(["'`])((?:\\.|(?!\1).)*)\1,/gms,
  );
  return [...titles].map(([, , title = ""]) => title.replaceAll(/\\(.)/g, "$1"));
}

/** What is declared by that name in a file, each from its first line to its last, as the formatter indents them. */
function bodiesOf(path: string, name: string): string[] {
  const lines = read(path).split("\n");
  const declares = new RegExp(`^ *(export )?(async )?(function |const |get )?${name}\\b(<.*>)?( = |: |\\()`);
  const depthOf = (line: string): number => line.search(/\S/);
  return lines.flatMap((first, from) => {
    if (!declares.test(first)) return [];
    const isNext = (line: string): boolean =>
      line !== "" && depthOf(line) <= depthOf(first) && !/^ *[)\]}].*[({>=]$/.test(line);
    const length = lines.slice(from + 1).findIndex(isNext) + 1;
    return [lines.slice(from, from + Math.max(1, length)).join("\n")];
  });
}

/** What is wrong, or null, for each of many, so that a failure shows all that is wrong at once. */
function faults<T>(all: Iterable<T>, faultOf: (one: T) => string | null): string[] {
  return [...all].map(faultOf).filter((fault) => fault !== null);
}

describe.each(PAGES)("what %s names is there:", (page) => {
  test("files and headings that it links to", () => {
    const links = withoutBlocks(page).matchAll(/\]\(([^)\s]+)\)/g);
    const wrong = faults(links, ([, link = ""]) => {
      if (/^[a-z]+:/.test(link)) return null;
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? page : join(dirname(page), path);
      if (!existsSync(join(ROOT, target))) return `${link}: no such file`;
      if (anchor === undefined) return null;
      return headingsOf(target).map(anchorOf).includes(anchor) ? null : `${link}: no such heading`;
    });
    expect(wrong).toEqual([]);
  });

  test("files and folders, by their paths or their names", () => {
    const wrong = faults(codesOf(page), (code) => {
      const isPath = new RegExp(`^(${FOLDERS.join("|").replace(".", "\\.")})/[\\w./-]*$`).test(code);
      if (isPath) return existsSync(join(ROOT, code)) ? null : code;
      return /^[\w/-][\w./-]*\.ts$/.test(code) && !isKnown(code) ? code : null;
    });
    expect(wrong).toEqual([]);
  });

  test("scripts of package.json, and rows of the benchmark", () => {
    const rows = files
      .filter((path) => path.startsWith("bench/rows/"))
      .flatMap((path) => [...read(path).matchAll(/\bname: "([\w-]+)",\n {2}(?:async )?run\b/g)])
      .map(([, name]) => name);
    expect(rows.length).toBeGreaterThan(10);
    const wrong = faults(
      read(page).matchAll(/\bbun run ([\w:-]+)((?: [a-z][\w-]*)*)/g),
      ([, script = "", rest = ""]) => {
        if (!(script in manifest.scripts)) return `bun run ${script}`;
        const named = script === "bench" ? rest.split(" ").filter(Boolean) : [];
        const unknown = named.find((row) => !rows.includes(row));
        return unknown && rows.includes(named[0]) ? `bun run bench ${unknown}` : null;
      },
    );
    expect(wrong).toEqual([]);
  });

  test("tests, by their titles", () => {
    const cited = [...withoutBlocks(page).matchAll(/`([\w./-]+\.ts)` ((?:"[^"]+"(?:, )?)+)/g)];
    const wrong = cited.flatMap(([, path = "", list = ""]) => {
      const named = files.filter((file) => file === path || file.endsWith(`/${path}`)).flatMap(titlesOf);
      const titles = [...list.matchAll(/"([^"]+)"/g)].map(([, title]) => title ?? "");
      return titles.filter((title) => !named.includes(title)).map((title) => `${path}: no test "${title}"`);
    });
    expect(wrong).toEqual([]);
  });

  test("what is in a file, by its name", () => {
    const wrong = faults(
      withoutBlocks(page).matchAll(/`(\w+)` (?:in|of) `(src\/[\w./-]+\.ts)`/g),
      ([, name = "", path = ""]) =>
        new RegExp(`\\b${name}\\b`).test(read(path)) ? null : `${path}: no ${name}`,
    );
    expect(wrong).toEqual([]);
  });
});

describe(ARCHITECTURE, () => {
  const rows = withoutBlocks(ARCHITECTURE).matchAll(
    /^\| [^|`]+ \| `((?:[^`|]|\\\|)+)` \| \[[\w./-]+\]\(\.\.\/([^)]+)\), `(\w+)`/gm,
  );
  const lines = [...rows].map(([, line = "", path = "", where = ""]) => ({
    line: line.replaceAll("\\|", "|"),
    path,
    where,
  }));

  test("quotes the lines that decide as they are, in the functions that it names", () => {
    expect(lines.length).toBeGreaterThan(10);
    const flat = (text: string) => text.replaceAll(/\s+/g, " ");
    const wrong = faults(lines, ({ line, path, where }) => {
      const bodies = bodiesOf(path, where);
      if (bodies.length === 0) return `${path}: no ${where}`;
      return bodies.some((body) => flat(body).includes(flat(line))) ? null : `${path}, ${where}: ${line}`;
    });
    expect(wrong).toEqual([]);
  });

  test("leads from the README, in two hops, to what decides the four questions", () => {
    expect(read("README.md")).toContain(`${ARCHITECTURE}#where-it-is-decided`);
    expect(lines.map(({ path }) => path)).toEqual(
      expect.arrayContaining([
        "src/delivery/outcome.ts",
        "src/delivery/breaker.ts",
        "src/ingest/group-commit.ts",
        "src/delivery/answer.ts",
      ]),
    );
  });

  test("has a file of the store for each port that it speaks of", () => {
    const ports = [...withoutBlocks(ARCHITECTURE).matchAll(/^\| ((?:`[A-Z]\w+`[^|]*)+)\| /gm)].flatMap(
      ([, cell = ""]) => [...cell.matchAll(/`([A-Z]\w+)`/g)].map(([, name]) => name),
    );
    expect(ports.length).toBeGreaterThan(10);
    const exported = [
      ...filesBelow("src/store").filter((path) => path.split("/").length === 3),
      "src/clock.ts",
    ]
      .map(read)
      .join("\n");
    expect(
      ports.filter((name) => !new RegExp(`^export (interface|type) ${name}\\b`, "m").test(exported)),
    ).toEqual([]);
  });
});

describe("comments", () => {
  const sources = files.filter(
    (path) => /^(src|test|bench|release)\/.*\.tsx?$/.test(path) && path !== "test/docs.test.ts",
  );

  test("cite the contract by sections that it has", () => {
    const headings = headingsOf(CONTRACT);
    let cited = 0;
    const wrong = faults(sources, (path) => {
      const citations = read(path)
        .replaceAll(/\n\s*(\*|\/\/) ?/g, " ")
        .matchAll(/docs\/CONTRACT\.md(?:, sections? (\d)(?: and (\d))?)?(?:, "([^"]+)")?/g);
      for (const [all, ...named] of citations) {
        cited += 1;
        for (const one of named) {
          if (
            one === undefined ||
            headings.some((heading) => heading === one || heading.startsWith(`${one}. `))
          )
            continue;
          return `${path}: ${all}`;
        }
      }
      return null;
    });
    expect(wrong).toEqual([]);
    expect(cited).toBeGreaterThan(10);
  });

  test("cite no document that is not in the repository", () => {
    const wrong = faults(sources, (path) => {
      const [cited] = read(path).match(/\b(DESIGN|(?<!docs\/)CONTRACT(?=[ ,:]+section))\b/) ?? [];
      return cited === undefined ? null : `${path}: ${cited}`;
    });
    expect(wrong).toEqual([]);
  });
});

describe(`${CONTRACT}, section 1:`, () => {
  const rows =
    read(CONTRACT)
      .split("\n## 2.")[0]
      ?.split("\n")
      .filter((line) => line.startsWith("| `")) ?? [];

  test.each<[string, RegExp, string[], RegExp]>([
    ["options", /^\| `(--[\w-]+)`/, ["serve", "--help"], /^ {2}(?:-\w, )?(--[\w-]+)/gm],
    ["commands", /^\| `armorhooks ([\w-]+)/, ["--help"], /^ {2}([a-z][\w-]*)/gm],
  ])("the %s that it names are there", async (_, what, args, shown) => {
    const { stdout } = await runCommand(args);
    const there = [...stdout.matchAll(shown)].map(([, name]) => name);
    const named = rows.flatMap((row) => row.match(what)?.[1] ?? []);
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => !there.includes(name))).toEqual([]);
  });
});

test("every folder that a document names is one", () => {
  for (const page of PAGES) {
    for (const code of codesOf(page).filter((code) => /^(src|test|bench|docs)\/[\w/-]*\/$/.test(code))) {
      expect(statSync(join(ROOT, code)).isDirectory(), code).toBe(true);
    }
  }
});
