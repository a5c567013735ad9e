import type { OpenApi, Operation, Schema } from "../openapi.ts";

/** A value that a schema allows, with every field that it names. */
export function exampleOf(document: OpenApi, schema: Schema): unknown {
  const {
    $ref,
    enum: values,
    items,
    properties,
    additionalProperties,
  } = schema as Schema & {
    example?: unknown;
  };
  if ($ref) return exampleOf(document, resolve(document, $ref));
  if (properties) {
    const fields = Object.entries(properties).map(([name, one]) => [name, exampleOf(document, one)]);
    return Object.fromEntries(fields);
  }
  if (items) return [exampleOf(document, items)];
  if (typeof additionalProperties === "object") {
    return { authorization: exampleOf(document, additionalProperties) };
  }
  if (values) return values[0];
  return (schema as { example?: unknown }).example ?? plain(schema);
}

function resolve(document: OpenApi, reference: string): Schema {
  const found = document.components.schemas[reference.replace("#/components/schemas/", "")];
  if (!found) throw new Error(`the document has no ${reference}`);
  return found;
}

function plain({ type, anyOf }: Schema & { anyOf?: Schema[] }): unknown {
  const kind = type ?? anyOf?.find((one) => one.type !== "null")?.type;
  if (kind === "integer" || kind === "number") return 5;
  if (kind === "boolean") return true;
  if (kind === "object") return { authorization: "***" };
  return "text";
}

/** What an operation is called with and answers. */
export interface Exchange {
  method: string;
  path: string;
  query: Record<string, unknown>;
  body: unknown;
  status: number;
  answer: unknown;
}

export function exchangeOf(document: OpenApi, name: string, operation: Operation): Exchange {
  const [method = "", path = ""] = name.split(" ");
  const parameters = operation.parameters?.filter((one) => one.in === "query") ?? [];
  const query = parameters.map((one) => [one.name, numeric(exampleOf(document, one.schema))]);
  const body = operation.requestBody?.content["application/json"]?.schema;
  const [status, answer] = Object.entries(operation.responses).find(([code]) => /^2/.test(code)) ?? [];
  if (!answer || !("content" in answer)) throw new Error(`${name} has no answer of success`);
  const schema = answer.content["application/json"]?.schema;
  return {
    method,
    path,
    query: Object.fromEntries(query),
    body: body && exampleOf(document, body),
    status: Number(status),
    answer: schema && exampleOf(document, schema),
  };
}

/** Numbers in a query are strings to the document, and numbers to people. */
function numeric(value: unknown): unknown {
  return typeof value === "string" && /^\d{1,4}$/.test(value) ? Number(value) : value;
}
