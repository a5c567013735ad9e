/** Pieces of the OpenAPI document: how models are written, and the headers of answers. */

export type Schema = Readonly<Record<string, unknown>>;

/** An object with exactly these properties, all of them required unless named as optional. */
export const wrap = (
  properties: Readonly<Record<string, Schema>>,
  optional: readonly string[] = [],
): Schema => ({
  type: "object",
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
  additionalProperties: false,
});
export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
export const listOf = (items: Schema): Schema => ({ type: "array", items });

export const REQUEST_ID_EXAMPLE = "req_0f1e2d3c4b5a69788796a5b4";

/** A header of an answer. */
export const header = (description: string, example: number | string) => ({
  description,
  schema: { type: typeof example === "number" ? ("integer" as const) : ("string" as const) },
  example,
});
export const REQUEST_ID = { "x-request-id": header("Names this request in our log.", REQUEST_ID_EXAMPLE) };
export const RATE_LIMIT = {
  "x-ratelimit-limit": header("Requests that this key may make per minute.", 60),
  "x-ratelimit-remaining": header("Requests left in the present minute.", 59),
  "x-ratelimit-reset": header("Seconds until the present minute is over.", 42),
};
export const NO_STORE = { "cache-control": header("The answer carries a secret.", "no-store") };
