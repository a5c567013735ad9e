import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type RunningDaemon, removeDir, runCommand, startDaemon } from "../support/daemon.ts";
import {
  type Answer,
  answerOf,
  type MediaType,
  type OpenApi,
  operations,
  type Reference,
  resolve,
  type Schema,
  sampleOf,
  schemaFaults,
  valueFaults,
} from "../support/openapi.ts";

/** docs/CONTRACT.md, sections 2 and 5: every request of the API, with the status of its success. */
const ROUTES: Readonly<Record<string, number>> = {
  "GET /v1/webhooks": 200,
  "POST /v1/webhooks": 201,
  "GET /v1/webhooks/{id}": 200,
  "PUT /v1/webhooks/{id}": 200,
  "PATCH /v1/webhooks/{id}": 200,
  "DELETE /v1/webhooks/{id}": 200,
  "POST /v1/webhooks/{id}/test": 200,
  "GET /v1/webhooks/{id}/deliveries": 200,
  "POST /v1/webhooks/{id}/recover": 202,
  "POST /v1/webhooks/{id}/rotate-secret": 200,
  "GET /v1/deliveries/{id}": 200,
  "POST /v1/deliveries/{id}/retry": 202,
  "GET /v1/events": 200,
  "GET /v1/events/{id}": 200,
  "GET /v1/stats": 200,
  "GET /v1/stream": 200,
  "GET /health": 200,
  "GET /metrics": 200,
};
const RATE_HEADERS = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];

/** Those that the state may not allow. */
const CONFLICTING = ["POST /v1/webhooks/{id}/rotate-secret", "POST /v1/deliveries/{id}/retry"];

let document: OpenApi;
let daemon: RunningDaemon;

beforeAll(async () => {
  daemon = await startDaemon();
  document = (await daemon.api("GET", "/swagger/json")).body;
});

afterAll(async () => {
  await daemon.stop();
  removeDir(daemon.dir);
});

/** Every media type of the document, with its place. */
function mediaTypes(): [string, MediaType][] {
  return operations(document).flatMap(({ name, operation }) => {
    const answers = Object.entries(operation.responses).map(
      ([status, answer]) => [status, resolve<Answer>(document, answer as Answer | Reference)] as const,
    );
    const contents = [["body", operation.requestBody] as const, ...answers];
    return contents.flatMap(([part, one]) =>
      Object.values(one?.content ?? {}).map((media): [string, MediaType] => [`${name} ${part}`, media]),
    );
  });
}

describe("the OpenAPI document", () => {
  test("lists every route of the contract and no other", () => {
    expect(
      operations(document)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(Object.keys(ROUTES).sort());
  });

  test("is what `armorhooks openapi` prints", async () => {
    const { stdout, code } = await runCommand(["openapi"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual(document);
  });

  test("names the plan requirement, the version and the tags that the operations have", async () => {
    expect(document.openapi).toBe("3.0.3");
    expect(document.info.version).toBe((await daemon.api("GET", "/health")).body.version);
    expect(document.info.description).toContain("webhookAlerts");
    expect(document.info.description).toContain("Professional plans and above");
    const used = new Set(operations(document).flatMap(({ operation }) => operation.tags));
    expect([...used].sort()).toEqual(document.tags.map(({ name }) => name).sort());
  });

  test("describes every operation, under a name that programs can use", () => {
    const ids = operations(document).map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { name, operation } of operations(document)) {
      expect(operation.operationId, name).toMatch(/^[a-z]\w*$/);
      expect(operation.summary, name).toBeTruthy();
      expect(operation.description, name).toBeTruthy();
    }
  });

  test("describes every parameter, and all those of the path", () => {
    for (const { name, path, operation } of operations(document)) {
      const parameters = operation.parameters ?? [];
      const inPath = parameters.filter((one) => one.in === "path");
      expect(
        inPath.map((one) => `{${one.name}}`),
        name,
      ).toEqual(path.match(/\{\w+\}/g) ?? []);
      for (const parameter of parameters) {
        expect(parameter.description, `${name} ${parameter.name}`).toBeTruthy();
        expect(parameter.required, `${name} ${parameter.name}`).toBe(parameter.in === "path");
        expect(schemaFaults(parameter.schema, `${name} ${parameter.name}`)).toEqual([]);
        expect(valueFaults(document, parameter.schema, parameter.schema.example)).toEqual([]);
      }
    }
  });

  test("writes every schema as OpenAPI 3.0.3 has them", () => {
    const faults = [...Object.entries(document.components.schemas), ...schemasOfRoutes()].flatMap(
      ([at, schema]) => schemaFaults(schema, at),
    );
    expect(faults).toEqual([]);
  });

  test("gives examples that hold to their schemas, one for everything that is sent or answered", () => {
    for (const [at, { schema, example, examples }] of mediaTypes()) {
      if (schema.type === "string") continue;
      const given = examples
        ? Object.values(examples).map(({ value }) => value)
        : [example ?? sampleOf(document, schema)];
      for (const one of given) expect(valueFaults(document, schema, one, at)).toEqual([]);
    }
  });

  test("gives every header with a description and an example", () => {
    for (const [route, success] of Object.entries(ROUTES)) {
      for (const status of [success, 405, 500]) {
        const { headers } = answerOf(document, route, status);
        expect(Object.keys(headers), route).toContain("x-request-id");
        for (const [name, { description, schema, example }] of Object.entries(headers)) {
          expect(description, `${route} ${name}`).toBeTruthy();
          expect(valueFaults(document, schema, example, `${route} ${name}`)).toEqual([]);
        }
      }
    }
  });

  test("documents a key, its errors and its rate limit on every /v1 route, and none on the others", () => {
    for (const { name, path, operation } of operations(document)) {
      const statuses = Object.keys(operation.responses).map(Number);
      if (!path.startsWith("/v1/")) {
        expect(operation.security, name).toBeUndefined();
        continue;
      }
      expect(operation.security, name).toEqual([{ apiKey: [] }]);
      expect(Object.keys(answerOf(document, name, ROUTES[name] ?? 0).headers), name).toEqual(
        expect.arrayContaining(RATE_HEADERS),
      );
      const withId = path.includes("{id}") || name === "GET /v1/stats" ? [404] : [];
      const withBody = operation.requestBody ? [413, 415] : [];
      const withState = CONFLICTING.includes(name) ? [409] : [];
      const expected = [
        400,
        401,
        403,
        405,
        429,
        500,
        503,
        ...withId,
        ...withBody,
        ...withState,
        ROUTES[name] ?? 0,
      ];
      expect(statuses.sort(), name).toEqual(expected.sort());
    }
    expect(document.components.securitySchemes.apiKey).toMatchObject({ type: "http", scheme: "bearer" });
  });

  test("leads from each operation to those that its answer has ids for", () => {
    const byId = new Map(operations(document).map((one) => [one.operation.operationId, one]));
    const linked = operations(document).flatMap(({ name, operation }) =>
      Object.values(operation.responses).flatMap((answer) =>
        Object.values(("links" in answer && answer.links) || {}).map((link) => {
          const target = byId.get(link.operationId);
          const names = (target?.operation.parameters ?? []).map((parameter) => parameter.name);
          expect(names, `${name} to ${link.operationId}`).toEqual(
            expect.arrayContaining(Object.keys(link.parameters)),
          );
          for (const at of Object.values(link.parameters)) {
            const schema = resolve<Answer>(document, answer).content["application/json"]?.schema as Schema;
            expect(pathOf(at.replace("$response.body#/", "").split("/"), schema), `${name} ${at}`).toBeTrue();
          }
          return target?.name;
        }),
      ),
    );
    // All that have an id in their path but for PUT, which is PATCH.
    const withId = operations(document).flatMap(({ name, path }) => (path.includes("{id}") ? [name] : []));
    expect([...new Set(linked)].sort()).toEqual(
      [...withId, "GET /v1/stats"].filter((name) => !name.startsWith("PUT")).sort() as never,
    );
  });

  test("says what receivers get, and what their answers mean", () => {
    const create = document.paths["/v1/webhooks"]?.post;
    const callback = create?.callbacks?.delivery?.["{$request.body#/url}"]?.post;
    expect(callback?.parameters?.map(({ name }) => name)).toEqual([
      "webhook-id",
      "webhook-timestamp",
      "webhook-signature",
      "user-agent",
    ]);
    const { schema = {}, example } = callback?.requestBody?.content["application/json"] ?? {};
    expect(valueFaults(document, schema, example)).toEqual([]);
    expect(Object.keys(callback?.responses ?? {})).toEqual(["410", "429", "2XX", "default"]);
  });

  test("calls a request body required only where it is", () => {
    const required = operations(document).flatMap(({ name, operation }) =>
      operation.requestBody?.required ? [name] : [],
    );
    expect(required).toEqual(["POST /v1/webhooks", "POST /v1/webhooks/{id}/recover"]);
  });
});

function schemasOfRoutes(): [string, Schema][] {
  return mediaTypes().map(([at, { schema }]) => [at, schema]);
}

/** Whether a schema has something at a place. */
function pathOf([step, ...rest]: string[], reference: Schema): boolean {
  if (step === undefined) return true;
  const schema = resolve<Schema>(document, reference as Schema | Reference);
  const next = /^\d+$/.test(step) ? schema.items : schema.properties?.[step];
  return next !== undefined && pathOf(rest, next);
}
