/** What is read of an OpenAPI 3.0 document; a field that is missing shows as undefined. */
export interface OpenApi {
  openapi: string;
  info: { title: string; version: string; description: string };
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: {
    schemas: Record<string, Schema>;
    responses: Record<string, Answer>;
    securitySchemes: Record<string, Record<string, string>>;
  };
}

export interface Operation {
  operationId: string;
  tags: string[];
  summary: string;
  description: string;
  security?: Record<string, string[]>[];
  parameters?: Parameter[];
  requestBody?: { required: boolean; content: Record<string, MediaType> };
  responses: Record<string, Answer | Reference>;
  callbacks?: Record<string, Record<string, Record<string, Operation>>>;
}

export interface Answer {
  description: string;
  headers: Record<string, { description: string; schema: Schema; example: unknown }>;
  content: Record<string, MediaType>;
  links?: Record<string, { operationId: string; parameters: Record<string, string> }>;
}

export interface MediaType {
  schema: Schema;
  example?: unknown;
  examples?: Record<string, { value: unknown }>;
}

export interface Parameter {
  name: string;
  in: string;
  required: boolean;
  description: string;
  schema: Schema;
}

export interface Reference {
  $ref: string;
}

export interface Schema {
  $ref?: string;
  type?: string;
  format?: string;
  nullable?: boolean;
  enum?: unknown[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  minimum?: number;
  maximum?: number;
  multipleOf?: number;
  pattern?: string;
  example?: unknown;
}

/** What a `$ref` of the document points at; throws when there is nothing. */
export function resolve<T extends object>(document: OpenApi, value: T | Reference): T {
  if (!("$ref" in value) || typeof value.$ref !== "string") return value as T;
  let target: unknown = document;
  for (const step of value.$ref.replace("#/", "").split("/")) {
    target = (target as Record<string, unknown> | undefined)?.[step];
  }
  if (target === undefined) throw new Error(`${value.$ref} points at nothing`);
  return target as T;
}

/** Every operation of the document, with its place. */
export function operations({ paths }: OpenApi) {
  return Object.entries(paths).flatMap(([path, byMethod]) =>
    Object.entries(byMethod).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      path,
      operation,
    })),
  );
}

/** What an operation ("GET /health") answers with a status; throws where that is not documented. */
export function answerOf(document: OpenApi, route: string, status: number): Answer {
  const found = operations(document).find(({ name }) => name === route);
  const answer = found?.operation.responses[status];
  if (!answer) throw new Error(`${route} does not document ${status}`);
  return resolve<Answer>(document, answer as Answer | Reference);
}

/** The keywords of an OpenAPI 3.0 Schema Object that this document may use. */
const KEYWORDS = new Set(
  "type format nullable enum allOf properties required additionalProperties maxProperties items minLength maxLength minItems maxItems minimum maximum multipleOf pattern description example".split(
    " ",
  ),
);
const TYPES = ["string", "number", "integer", "boolean", "array", "object"];

/** What is wrong with a schema as OpenAPI 3.0.3 writes schemas, with the place of each fault. */
export function schemaFaults(schema: Schema, at: string): string[] {
  if (schema.$ref !== undefined) return Object.keys(schema).length > 1 ? [`${at}: $ref has siblings`] : [];
  const { type = "", properties = {}, required = [] } = schema;
  const faults = Object.keys(schema)
    .filter((keyword) => !KEYWORDS.has(keyword))
    .map((keyword) => `${at}: unknown keyword ${keyword}`);
  if (!TYPES.includes(type)) faults.push(`${at}: type is ${type || "missing"}`);
  if (type === "array" && !schema.items) faults.push(`${at}: an array without items`);
  if (schema.nullable && schema.enum && !schema.enum.includes(null)) {
    faults.push(`${at}: nullable, but its enum lacks null`);
  }
  if (!schema.nullable && schema.enum?.includes(null)) faults.push(`${at}: null in enum, but not nullable`);
  for (const name of required) if (!properties[name]) faults.push(`${at}: requires unknown ${name}`);
  const inner = Object.entries(properties).flatMap(([name, one]) => schemaFaults(one, `${at}.${name}`));
  return [...faults, ...inner, ...(schema.items ? schemaFaults(schema.items, `${at}[]`) : [])];
}

const FORMATS: Record<string, RegExp> = {
  uri: /^https?:\/\/\S+$/,
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  "date-time": /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$/,
};

/** Why a value does not hold to a schema of the document; empty when it does. */
export function valueFaults(document: OpenApi, reference: Schema, value: unknown, at = "value"): string[] {
  const schema = resolve<Schema>(document, reference as Schema | Reference);
  if (value === null) return schema.nullable ? [] : [`${at}: null`];
  if (typeOf(value, schema.type) !== schema.type)
    return [`${at}: ${JSON.stringify(value)} as ${schema.type}`];
  const faults = schema.enum && !schema.enum.includes(value) ? [`${at}: ${value} is not in its enum`] : [];
  if (typeof value === "string") faults.push(...stringFaults(schema, value, at));
  if (typeof value === "number") faults.push(...numberFaults(schema, value, at));
  if (Array.isArray(value)) {
    const { items = {}, minItems = 0, maxItems = Infinity } = schema;
    if (value.length < minItems || value.length > maxItems) faults.push(`${at}: ${value.length} items`);
    return [...faults, ...value.flatMap((item, i) => valueFaults(document, items, item, `${at}[${i}]`))];
  }
  if (schema.type === "object") faults.push(...objectFaults(document, schema, value as object, at));
  return faults;
}

function typeOf(value: unknown, wanted?: string): string {
  if (Array.isArray(value)) return "array";
  return wanted === "integer" && Number.isInteger(value) ? "integer" : typeof value;
}

function stringFaults(
  { pattern, format, minLength = 0, maxLength = Infinity }: Schema,
  value: string,
  at: string,
) {
  const holds =
    (pattern === undefined || new RegExp(pattern).test(value)) &&
    (format === undefined || FORMATS[format]?.test(value)) &&
    value.length >= minLength &&
    value.length <= maxLength;
  return holds ? [] : [`${at}: ${value} breaks pattern, format or length`];
}

function numberFaults(
  { minimum = -Infinity, maximum = Infinity, multipleOf }: Schema,
  value: number,
  at: string,
) {
  const holds =
    value >= minimum && value <= maximum && (multipleOf === undefined || value % multipleOf === 0);
  return holds ? [] : [`${at}: ${value} is out of range`];
}

function objectFaults(document: OpenApi, schema: Schema, value: object, at: string): string[] {
  const { properties = {}, required = [], additionalProperties } = schema;
  const missing = required
    .filter((name) => !Object.hasOwn(value, name))
    .map((name) => `${at}.${name}: missing`);
  const inner = Object.entries(value).flatMap(([name, one]) => {
    const property = properties[name];
    if (property) return valueFaults(document, property, one, `${at}.${name}`);
    return additionalProperties === false ? [`${at}.${name}: not in the schema`] : [];
  });
  return [...missing, ...inner];
}

/** The example that a reader sees for a schema: its own, or one put together from its properties' examples. */
export function sampleOf(document: OpenApi, reference: Schema): unknown {
  const schema = resolve<Schema>(document, reference as Schema | Reference);
  if ("example" in schema) return schema.example;
  if (schema.nullable) return null;
  if (schema.type === "array") return [sampleOf(document, schema.items ?? {})];
  if (schema.type !== "object") return undefined;
  return Object.fromEntries(
    Object.entries(schema.properties ?? {}).map(([name, one]) => [name, sampleOf(document, one)]),
  );
}
