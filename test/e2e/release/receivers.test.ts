import { afterEach, describe, expect, test } from "bun:test";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { ROOT, run } from "../../../release/run.ts";
import { connectScanner, scan, until } from "../../support/daemon.ts";
import { atEnd, cleanUp, deliveriesOf, emptyDir, register, startBinary } from "../../support/e2e.ts";

afterEach(cleanUp);

/** Installs what a recipe names; answers how it is started, as the page of recipes says. */
type Prepare = (directory: string) => Promise<string[]>;

const node: Prepare = async (directory) => {
  await run(["npm", "install", "--no-audit", "--no-fund", "--silent"], { cwd: directory });
  const types = [
    "--noEmit",
    "--strict",
    "--module",
    "nodenext",
    "--allowImportingTsExtensions",
    "--types",
    "node",
  ];
  await run([join(ROOT, "node_modules/.bin/tsc"), ...types, "server.ts"], { cwd: directory });
  return ["node_modules/.bin/tsx", "server.ts"];
};

const RECIPES: Record<string, Prepare> = {
  express: node,
  hono: node,
  fastapi: async (directory) => {
    await run(["python3", "-m", "venv", "venv"], { cwd: directory });
    await run(["venv/bin/pip", "install", "--quiet", "-r", "requirements.txt"], { cwd: directory });
    return ["venv/bin/python", "server.py"];
  },
  go: async (directory) => {
    expect(await run(["gofmt", "-l", "."], { cwd: directory })).toBe("");
    await run(["go", "vet", "."], { cwd: directory });
    await run(["go", "build", "-o", "receiver", "."], { cwd: directory });
    return ["./receiver"];
  },
};

/** Passes every request on twice, and before that once with another body; answers what the second one got. */
function startRepeater(port: number) {
  const statuses: number[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const body = await request.text();
      const headers = Object.fromEntries(request.headers);
      const target = `http://127.0.0.1:${port}/hook`;
      for (const one of [body.replace("red", "green"), body, body]) {
        const answer = await fetch(target, { method: "POST", headers, body: one });
        statuses.push(answer.status);
      }
      return new Response(null, { status: statuses.at(-1) ?? 500 });
    },
  });
  atEnd(() => server.stop(true));
  return { url: `http://127.0.0.1:${server.port}/hook`, statuses };
}

describe.each(Object.entries(RECIPES))("the recipe for %s", (name, prepare) => {
  test("verifies, answers, takes a repeat once, and knows the payload", async () => {
    const directory = join(emptyDir(), name);
    cpSync(join(ROOT, "docs/receivers", name), directory, { recursive: true });
    const command = await prepare(directory);
    const port = freePort();
    const repeater = startRepeater(port);
    const daemon = await startBinary();
    const { id, secret } = await register(daemon, repeater.url);
    const receiver = Bun.spawn(command, {
      cwd: directory,
      env: { ...process.env, WEBHOOK_SECRET: secret, PORT: String(port) },
      stdout: "pipe",
      detached: true,
    });
    // With its group, as tsx runs the server in a process of its own, which would live on.
    atEnd(() => process.kill(-receiver.pid, "SIGKILL"));
    let output = "";
    void (async () => {
      for await (const chunk of receiver.stdout) output += new TextDecoder().decode(chunk);
    })();
    await until("it listens", () => answers(port), 20_000);

    const scanner = await connectScanner(daemon.socket);
    await scanner.send(scan());
    scanner.close();
    await until("it is delivered", async () => (await deliveriesOf(daemon, id))[0]?.status === "delivered");
    expect(repeater.statuses).toEqual([401, 204, 204]);
    const handled = () => [...output.matchAll(/^handled (.*)$/gm)].map(([, text]) => JSON.parse(text ?? ""));
    await until("it is handled", () => handled().length > 0);
    expect(handled()).toEqual([{ event: "red_tier", ...scan() }]);

    const tried = await daemon.api("POST", `/v1/webhooks/${id}/test`);
    expect(tried.body).toEqual({ success: true, status: 204 });
    await until("the test is handled", () => handled().length > 1);
    expect(handled()[1]).toMatchObject({ event: "test", tier: "green" });
  }, 240_000);
});

function freePort(): number {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const { port } = server;
  server.stop(true);
  return port as number;
}

async function answers(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/`).then(
    () => true,
    () => false,
  );
}
