import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { IndigiArmor } from "../../src/client/index.ts";
import { type Exchange, exchangeOf } from "../support/api-clients/example.ts";
import { ALIASES, CALLS, type ClientCall } from "../support/api-clients/operations.ts";
import { cleanUp, command, emptyDir } from "../support/e2e.ts";
import type { OpenApi } from "../support/openapi.ts";
import { PYTHONS } from "../support/pythons.ts";

const ROOT = join(import.meta.dir, "../..");
const ID = "0b3b3f4e-6f0a-4c53-9a2e-5d2d4d8f5c11";
const STREAM = "/v1/stream";
const OUTCOME = { type: "attempt", data: { number: 1 } };

/** The operations that need a key, by method and path. */
let exchanges: Map<string, Exchange>;
/** What the API would answer: every field of every schema. */
let server: ReturnType<typeof startApi>;

beforeAll(async () => {
  const document = JSON.parse((await command(["openapi"])).stdout) as OpenApi;
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, { security }]) => security?.length)
      .map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const),
  );
  exchanges = new Map(operations.map(([name, one]) => [name, exchangeOf(document, name, one)]));
  server = startApi();
});
afterAll(() => server.stop(true));
afterEach(cleanUp);

interface Seen {
  name: string;
  query: Record<string, string>;
  body: unknown;
}

const seen: Seen[] = [];

function startApi() {
  return Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const url = new URL(request.url);
      const text = await request.text();
      const name = `${request.method} ${url.pathname.replace(ID, "{id}")}`;
      seen.push({
        name,
        query: Object.fromEntries(url.searchParams),
        body: text ? JSON.parse(text) : undefined,
      });
      if (url.pathname === STREAM) {
        const message = 'event: attempt\ndata: {"number":1}\n\n';
        return new Response(message, { headers: { "content-type": "text/event-stream" } });
      }
      const exchange = exchanges.get(name);
      return Response.json(exchange?.answer, { status: exchange?.status ?? 404 });
    },
  });
}

/** The operations with the call for each. */
function calls(): [string, Exchange, ClientCall][] {
  return [...exchanges].flatMap(([name, exchange]) => {
    const call = CALLS[name];
    return call ? [[name, exchange, call] as [string, Exchange, ClientCall]] : [];
  });
}

function asSent({ query, body }: Exchange): { query: Record<string, string>; body: unknown } {
  const texts = Object.entries(query).map(([name, value]) => [name, String(value)]);
  return { query: Object.fromEntries(texts), body };
}

const given = (answer: unknown, field: string | undefined): unknown =>
  field === undefined ? answer : (answer as Record<string, unknown>)[field];

test("every operation that needs a key has a method in each client, or is the same as one that has", () => {
  const names = [...exchanges.keys()];
  expect(names.length).toBeGreaterThan(10);
  expect([...Object.keys(CALLS), ...Object.keys(ALIASES)].sort()).toEqual(names.sort());
  for (const [alias, name] of Object.entries(ALIASES)) {
    expect(exchanges.get(alias)?.body).toEqual(exchanges.get(name)?.body);
  }
});

describe("the TypeScript client", () => {
  test("calls each operation with every field, and gives back what it answers", async () => {
    const armor = new IndigiArmor(`ia_sk_${"0".repeat(48)}`, { baseUrl: server.url.href });
    for (const [name, exchange, { typescript, unwrap }] of calls()) {
      const method = (armor as unknown as Record<string, (...all: unknown[]) => unknown>)[typescript];
      if (exchange.path === STREAM) {
        const messages = method?.apply(armor) as AsyncIterable<unknown>;
        for await (const message of messages) {
          expect(message).toEqual(OUTCOME);
          break;
        }
        continue;
      }
      seen.length = 0;
      const result = await method?.apply(armor, argumentsOf(exchange));
      expect(seen, name).toEqual([{ name, ...asSent(exchange) }]);
      expect(result, name).toEqual(given(exchange.answer, unwrap));
    }
  });

  test("has a type for every field that is sent or answered, and for no other", async () => {
    const lines = calls().map(([, exchange, { typescript, unwrap }]) => {
      const parameters = argumentsOf(exchange).map((one) => JSON.stringify(one));
      if (exchange.path === STREAM) return `void armor.${typescript}();`;
      const answer = JSON.stringify(given(exchange.answer, unwrap));
      return `{ const answer: Whole<Awaited<ReturnType<typeof armor.${typescript}>>> = ${answer};\n  void answer; void armor.${typescript}(${parameters.join(", ")}); }`;
    });
    const path = join(emptyDir(), "calls.ts");
    await Bun.write(
      path,
      `import { IndigiArmor } from ${JSON.stringify(join(ROOT, "src/client/index.ts"))};
type Open<T> = string extends keyof T ? T : { [K in keyof T]-?: Whole<T[K]> };
type Whole<T> = T extends readonly (infer I)[] ? Whole<I>[] : T extends object ? Open<T> : T;
const armor = new IndigiArmor("key");
${lines.join("\n")}
`,
    );
    const options =
      "--ignoreConfig --noEmit --strict --target esnext --module preserve --skipLibCheck --allowImportingTsExtensions";
    const types = ["--types", "bun", "--typeRoots", join(ROOT, "node_modules/@types")];
    const compiler = join(ROOT, "node_modules/.bin/tsc");
    const child = Bun.spawnSync([compiler, ...options.split(" "), ...types, path], { cwd: ROOT });
    expect(child.stdout.toString()).toBe("");
  });
});

/** An id, and all that goes into the query or the body. */
function argumentsOf({ path, query, body }: Exchange): unknown[] {
  const id = path.includes("{id}") ? [ID] : [];
  const fields = body ?? (Object.keys(query).length > 0 ? query : null);
  return fields ? [...id, fields] : id;
}

test.each(PYTHONS)(
  "the Python client (%s) calls each operation with every field, and gives back every field of the answer",
  async (python) => {
    const list = calls().map(([, exchange, call]) => {
      const id = exchange.path.includes("{id}") ? [ID] : [];
      return { method: call.python, positional: id, named: exchange.body ?? exchange.query };
    });
    seen.length = 0;
    const child = Bun.spawn([python, join(ROOT, "test/support/api-clients/driver.py"), server.url.href], {
      env: { ...process.env, PYTHONPATH: join(ROOT, "clients/python/src"), PYTHONDONTWRITEBYTECODE: "1" },
      stdin: new TextEncoder().encode(JSON.stringify(list)),
      stdout: "pipe",
      stderr: "pipe",
    });
    const [output, errors] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    expect(errors).toBe("");
    const results = output.trimEnd().split("\n");
    for (const [i, [name, exchange, { unwrap, pythonUnwrap }]] of calls().entries()) {
      expect(seen[i], name).toEqual({ name, ...asSent(exchange) });
      const result = JSON.parse(results[i] ?? "null");
      if (exchange.path === STREAM) expect(result).toEqual(OUTCOME);
      else expect(result, name).toEqual(given(exchange.answer, pythonUnwrap ?? unwrap));
    }
  },
);
