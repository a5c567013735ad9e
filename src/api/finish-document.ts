import { EVERY_ROUTE, errorAnswers, REFUSED_CHANGE } from "./error-answers.ts";

/** What the plugin makes of the routes, as far as it matters here. */
export interface ApiDocument {
  paths: Record<string, Record<string, Operation>>;
}

interface Operation {
  operationId: string;
  parameters?: object[];
  responses: Record<string, unknown>;
  requestBody?: { required: boolean; content: Record<string, { schema: { required?: string[] } }> };
}

/** Adds what holds for every route, and puts right what the plugin says of paths and bodies. */
export function finishDocument({ paths, ...rest }: ApiDocument): ApiDocument {
  const finished = Object.entries(paths).map(([path, operations]) => [
    path.replace(/(?<=.)\/$/, ""),
    Object.fromEntries(
      Object.entries(operations).map(([method, one]) => [method, finishOperation(one, method)]),
    ),
  ]);
  return { ...rest, paths: Object.fromEntries(finished) };
}

function finishOperation({ responses, requestBody, ...rest }: Operation, method: string): Operation {
  const operationId = rest.operationId.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
  const parameters = rest.parameters && { parameters: inWordsOfOpenApi(rest.parameters) as object[] };
  const finished = {
    ...rest,
    ...parameters,
    operationId,
    responses: {
      ...responses,
      ...(method !== "get" && { 403: { $ref: `#/components/responses/${REFUSED_CHANGE}` } }),
      ...errorAnswers(EVERY_ROUTE),
    },
  };
  if (!requestBody) return finished;
  // The plugin calls every body required, also one that may be left out.
  const required = Object.values(requestBody.content).some(({ schema }) => schema.required !== undefined);
  const content = inWordsOfOpenApi(requestBody.content) as typeof requestBody.content;
  return { ...finished, requestBody: { ...requestBody, required, content } };
}

/** Schemas as OpenAPI 3.0 writes them: null is no type there, and lengths count characters. */
function inWordsOfOpenApi(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inWordsOfOpenApi);
  if (typeof value !== "object" || value === null) return value;
  const {
    anyOf,
    [MAX_CHARACTERS]: maxLength,
    [DOCUMENTED]: documented,
    ...rest
  } = value as Record<string, unknown>;
  const plain = Object.fromEntries(Object.entries(rest).map(([name, one]) => [name, inWordsOfOpenApi(one)]));
  const inner = Array.isArray(anyOf) ? anyOf.find(({ type }) => type !== "null") : undefined;
  return {
    ...plain,
    ...(inner && { ...(inWordsOfOpenApi(inner) as object), nullable: true }),
    ...(maxLength !== undefined && { maxLength }),
    ...(documented as object | undefined),
  };
}

/** What a schema says in the document instead of, or beside, what requests are checked by: not less strict than that. */
export const DOCUMENTED = "x-document";

/** A string's longest length in characters: `maxLength` is counted in UTF-16 units where requests are checked. */
export const MAX_CHARACTERS = "x-max-characters";
