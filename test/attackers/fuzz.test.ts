import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { InvalidArgumentError } from "commander";
import fc from "fast-check";
import { optionFor, serveOptions } from "../../src/config/options.ts";
import { formatDuration, parseDuration } from "../../src/config/parse.ts";
import {
  connectScanner,
  LOOPBACK,
  type RunningDaemon,
  removeDir,
  request,
  scan,
  startDaemon,
  until,
} from "../support/daemon.ts";
import {
  type Answer,
  answerOf,
  type MediaType,
  type OpenApi,
  operations,
  resolve,
  type Schema,
  valueFaults,
} from "../support/openapi.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { newTenant, type Tenant } from "../support/tenants.ts";

/** Each run of properties ends after this, however slow the machine is. */
const TIME_LIMIT = { interruptAfterTimeLimit: 6_000, markInterruptAsFailure: false };

describe("random requests made from our own OpenAPI document", () => {
  let daemon: RunningDaemon;
  let receiver: Receiver;
  let tenant: Tenant;
  let other: Tenant;
  let document: OpenApi;
  /** Ids that exist: ours, and another organization's. */
  const ids: string[] = [];

  beforeAll(async () => {
    receiver = startReceiver();
    daemon = await startDaemon({ args: [...LOOPBACK, "--request-timeout", "200ms", "--log-level", "warn"] });
    tenant = await newTenant(daemon, "ours");
    other = await newTenant(daemon, "theirs");
    document = (await tenant.api("GET", "/swagger/json")).body;
    for (const owner of [tenant, tenant, other]) ids.push(await webhookWithDelivery(owner));
  });

  afterAll(async () => {
    await daemon?.stop();
    await receiver?.stop();
    if (daemon) removeDir(daemon.dir);
  });

  async function webhookWithDelivery(owner: Tenant): Promise<string> {
    const { body } = await owner.api("POST", "/v1/webhooks", { url: receiver.url });
    const { id } = body.webhook;
    const scanner = await connectScanner(daemon.socket);
    await scanner.send(scan({ organization_id: owner.organizationId }));
    scanner.close();
    await until("there is a delivery", async () => {
      const page = await owner.api("GET", `/v1/webhooks/${id}/deliveries`);
      ids.push(...page.body.deliveries.map((delivery: { id: string }) => delivery.id));
      return page.body.deliveries.length > 0;
    });
    return id;
  }

  /** Any text, but none that would be a target outside this machine. */
  const text = fc.string({ unit: "grapheme", maxLength: 40 }).filter((value) => !/^\s*https?:/i.test(value));
  const url = () =>
    fc.oneof(
      fc.constantFrom(
        receiver.url,
        "http://127.0.0.1:1/",
        "https://10.0.0.1/",
        "https://[::1]/#",
        "https://a:b@127.0.0.1/",
      ),
      text,
    );

  /** Values that a schema allows; `name` tells a URL from other texts. */
  function allowed(reference: Schema, name = ""): fc.Arbitrary<unknown> {
    const schema = resolve<Schema>(document, reference as Schema);
    return schema.nullable ? fc.option(allowedBy(schema, name), { freq: 4 }) : allowedBy(schema, name);
  }

  function allowedBy(schema: Schema, name: string): fc.Arbitrary<unknown> {
    if (schema.enum) return fc.constantFrom(...schema.enum);
    if (name === "url") return url();
    if (schema.type === "boolean") return fc.boolean();
    if (schema.type === "number" || schema.type === "integer") {
      return fc.integer({ min: schema.minimum ?? -1e6, max: schema.maximum ?? 1e6 });
    }
    if (schema.type === "array") {
      return fc.array(allowed(schema.items ?? {}), { minLength: schema.minItems ?? 0, maxLength: 8 });
    }
    if (schema.type !== "object") {
      if (schema.pattern && name !== "name") {
        return fc.oneof(fc.constant(schema.example ?? ""), fc.stringMatching(new RegExp(schema.pattern)));
      }
      if (schema.format) return fc.constant(schema.example ?? "");
      return fc.oneof(
        fc.constant(schema.example ?? ""),
        text.filter((value) => isLike(schema, value)),
      );
    }
    const others = schema.additionalProperties;
    if (typeof others === "object") {
      return fc.dictionary(fc.stringMatching(/^x-[a-z]{1,8}$/), fc.stringMatching(/^[ -)+-~]{0,20}$/), {
        maxKeys: 8,
      });
    }
    const fields = Object.entries(schema.properties ?? {}).map(
      ([key, one]) => [key, allowed(one, key)] as const,
    );
    return fc.record(Object.fromEntries(fields), { requiredKeys: schema.required ?? [] });
  }

  function isLike({ minLength = 0, maxLength = Infinity, pattern = "" }: Schema, value: string): boolean {
    return value.length >= minLength && value.length <= maxLength && new RegExp(pattern).test(value);
  }

  /** Fields of an update as the answer has them. */
  function shown(fields: Record<string, unknown>): Record<string, unknown> {
    const distinct = (list: unknown) => (Array.isArray(list) ? [...new Set(list)] : list);
    const entries = Object.entries(fields).flatMap(([name, value]): [string, unknown][] => {
      if (value === null) return [];
      const inner = Object.entries(value as object);
      if (name === "headers") {
        return inner.length === 0 ? [] : [[name, Object.fromEntries(inner.map(([key]) => [key, "***"]))]];
      }
      if (name === "filter")
        return [[name, Object.fromEntries(inner.map(([key, one]) => [key, distinct(one)]))]];
      return [[name, distinct(value)]];
    });
    return Object.fromEntries(entries);
  }

  /** What a hostile client might put in a body's place: near the schema, or nowhere near it. */
  function bodies(schema: Schema): fc.Arbitrary<string> {
    const fields = Object.keys(resolve<Schema>(document, schema as Schema).properties ?? {});
    const key = fc.oneof(fc.constantFrom(...fields, "__proto__", "constructor", "id"), text);
    const odd = fc.dictionary(key, fc.jsonValue({ maxDepth: 4 }));
    const valid = allowed(schema);
    const spoilt = fc.tuple(valid, odd).map(([good, bad]) => ({ ...(good as object), ...bad }));
    return fc.oneof(
      { weight: 4, arbitrary: valid.map((value) => JSON.stringify(value)) },
      { weight: 3, arbitrary: spoilt.map((value) => JSON.stringify(value)) },
      { weight: 1, arbitrary: fc.json() },
      { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 200 }) },
    );
  }

  const id = () =>
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...ids) },
      { weight: 1, arbitrary: fc.uuid() },
      { weight: 1, arbitrary: text.filter((value) => !["", ".", ".."].includes(value)) },
    );

  interface Shot {
    name: string;
    method: string;
    path: string;
    body: string | undefined;
    key: string;
    type: string;
  }

  /** One request of a random operation, but for the one whose answer never ends. */
  function shots(): fc.Arbitrary<Shot> {
    const ending = operations(document).filter(({ path }) => path !== "/v1/stream");
    return fc.oneof(
      ...ending.map(({ name, path, operation }) => {
        const query = (operation.parameters ?? [])
          .filter((parameter) => parameter.in === "query")
          .map(({ name: key, schema }) => [key, fc.oneof(allowed(schema), text)] as const);
        const content = operation.requestBody?.content["application/json"];
        return fc
          .record({
            id: id(),
            query: fc.record(Object.fromEntries(query), { requiredKeys: [] }),
            body: content
              ? fc.option(bodies(content.schema), { nil: undefined, freq: 8 })
              : fc.constant(undefined),
            key: fc.oneof(
              { weight: 12, arbitrary: fc.constant(tenant.key) },
              { weight: 1, arbitrary: fc.constantFrom("", "ia_sk_x") },
            ),
            type: fc.oneof(
              { weight: 12, arbitrary: fc.constant("application/json") },
              { weight: 1, arbitrary: fc.constant("text/plain") },
            ),
          })
          .map((made) => {
            const search = new URLSearchParams();
            for (const [key, value] of Object.entries(made.query)) search.set(key, String(value));
            return {
              name,
              method: name.split(" ")[0] as string,
              path: `${path.replace("{id}", encodeURIComponent(made.id))}${search.size > 0 ? `?${search}` : ""}`,
              body: made.body,
              key: made.key,
              type: made.type,
            };
          });
      }),
    );
  }

  async function fire({ method, path, body, key, type }: Shot) {
    const answer = await fetch(daemon.url + path, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body !== undefined && { "content-type": type }) },
      ...(body !== undefined && { body }),
    });
    const sent = await answer.text();
    const isJson = answer.headers.get("content-type")?.startsWith("application/json");
    return { status: answer.status, headers: answer.headers, body: isJson ? JSON.parse(sent) : sent };
  }

  test("are answered as it says: never 500, every body fits, every error is in the envelope", async () => {
    const seen = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(shots(), async (shot) => {
        const answer = await fire(shot);
        seen.set(`${answer.status}`, (seen.get(`${answer.status}`) ?? 0) + 1);
        expect(answer.status).not.toBe(500);
        const documented = answerOf(document, shot.name, answer.status);
        const { schema } = Object.values(documented.content)[0] as MediaType;
        expect(valueFaults(document, schema, answer.body)).toEqual([]);
        for (const name of Object.keys(documented.headers))
          expect(answer.headers.get(name), name).not.toBeNull();
        if (answer.status < 400) return;
        expect(answer.body.error.request_id).toBe(answer.headers.get("x-request-id"));
      }),
      { numRuns: 1_500, ...TIME_LIMIT },
    );
    // It has been everywhere worth going.
    for (const status of ["200", "201", "400", "401", "404", "415"])
      expect(seen.get(status) ?? 0).toBeGreaterThan(0);
  }, 15_000);

  test("with a body that the document allows are taken when they name something of ours", async () => {
    const patch = operations(document).find(({ name }) => name === "PATCH /v1/webhooks/{id}");
    const { schema } = patch?.operation.requestBody?.content["application/json"] ?? { schema: {} };
    const { body } = await tenant.api("POST", "/v1/webhooks", { url: receiver.url });
    const path = `/v1/webhooks/${body.webhook.id}`;
    await fc.assert(
      fc.asyncProperty(allowed(schema), async (changes) => {
        // Whether it can be grouped is for the format to say.
        const { url: _url, format: _format, group: _group, ...fields } = changes as Record<string, unknown>;
        const answer = await tenant.api("PATCH", path, fields);
        expect(answer).toMatchObject({ status: 200, body: { webhook: shown(fields) } });
        for (const [name, value] of Object.entries(fields)) {
          if (value === null) expect(answer.body.webhook).not.toHaveProperty(name);
        }
      }),
      { numRuns: 150, ...TIME_LIMIT },
    );
  }, 15_000);

  test("for other methods and paths are answered in the envelope too", async () => {
    const paths = fc.oneof(
      fc.constantFrom(...Object.keys(document.paths)).map((path) => path.replace("{id}", "x")),
      fc
        .array(
          fc.oneof(
            fc.constantFrom("v1", "webhooks", "deliveries", "swagger", "test", "%00", "..", "%2e"),
            fc.string(),
          ),
          { maxLength: 5 },
        )
        .map(
          (parts) =>
            `/${parts.map((part) => (part.startsWith("%") ? part : encodeURIComponent(part))).join("/")}`,
        ),
    );
    const method = fc.constantFrom("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS");
    await fc.assert(
      fc.asyncProperty(method, paths, async (verb, path) => {
        const { status, headers, body } = await request(daemon.url, tenant.key, verb, path);
        expect(status).toBeWithin(200, 500);
        expect(headers.get("x-request-id")).toMatch(/^req_/);
        if (status < 400) return;
        expect(valueFaults(document, { $ref: "#/components/schemas/Error" }, body)).toEqual([]);
        if (status === 405) expect(headers.get("allow")).not.toBeNull();
      }),
      { numRuns: 400, ...TIME_LIMIT },
    );
  }, 15_000);

  test("leave the daemon without a fault, and serving", async () => {
    expect(daemon.log.filter(({ level }) => level === "error")).toEqual([]);
    const envelope = resolve<Answer>(document, { $ref: "#/components/responses/INTERNAL_ERROR" });
    expect(envelope.content["application/json"]).toBeDefined();
    expect(await (await fetch(`${daemon.url}/metrics`)).text()).toContain("armorhooks_faults_total 0");
  });
});

describe("what is given to an option", () => {
  const flags = serveOptions().map(({ long }) => (long as string).slice(2));
  /** Texts with many of the characters that options are made of. */
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom(..."0123456789.,:/-+eE msxhd\0\n") }),
    fc
      .tuple(fc.double(), fc.constantFrom("", "ms", "s", "m", "h", "d", "%"))
      .map(([n, unit]) => `${n}${unit}`),
    fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer()).map(([address, bits]) => `${address}/${bits}`),
    fc.constantFrom(
      "__proto__",
      "constructor",
      "NaN",
      "Infinity",
      "1e400",
      "-0",
      "0x10",
      "٣",
      "１s",
      "true",
      "0660",
    ),
  );

  test.each(flags)(
    "--%s is either taken or refused with InvalidArgumentError, never anything else",
    (flag) => {
      const { parseArg } = optionFor(flag);
      if (!parseArg) throw new Error("it has no parser");
      fc.assert(
        fc.property(text, (value) => {
          try {
            const parsed: unknown = parseArg(value, undefined);
            if (typeof parsed === "number") expect(Number.isFinite(parsed) && parsed >= 0).toBe(true);
            else expect(parsed).toBeDefined();
          } catch (error) {
            expect(error).toBeInstanceOf(InvalidArgumentError);
            expect((error as Error).message.split("\n")).toHaveLength(1);
          }
        }),
        { numRuns: 300, ...TIME_LIMIT },
      );
    },
  );

  test("a duration means the same when written out and read again", () => {
    fc.assert(
      fc.property(fc.nat(999_999_999), fc.constantFrom("ms", "s", "m", "h", "d"), (n, unit) => {
        const milliseconds = parseDuration(`${n}${unit}`);
        expect(parseDuration(formatDuration(milliseconds))).toBe(milliseconds);
      }),
      { numRuns: 1_000 },
    );
  });

  test("a duration is never taken in a unit that was not written", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e6, noNaN: true }),
        fc.constantFrom("", "S", "sec", "w", "y", "us", " s", "s s"),
        (n, unit) => {
          expect(() => parseDuration(`${n}${unit}`)).toThrow(InvalidArgumentError);
        },
      ),
    );
  });
});
