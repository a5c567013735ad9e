import type { LinkDocument } from "./document-links.ts";
import { NO_STORE, RATE_LIMIT, REQUEST_ID, type Schema } from "./document-parts.ts";
import { EVERY_V1, errorAnswers, WITH_BODY, WITH_ID, WITH_STATE } from "./error-answers.ts";

/** How the routes say what they take and answer, for the OpenAPI document. */

/** Models that come in several forms: an example of each. */
const EXAMPLES: Readonly<Record<string, object>> = {
  "#/components/schemas/TestResult": {
    delivered: { value: { success: true, status: 200 } },
    "not 2xx": { value: { success: false, status: 500, error: "Endpoint responded with status 500" } },
    unreachable: { value: { success: false, error: "Connection failed or timed out" } },
    refused: { value: { success: false, error: "Target address is not allowed" } },
  },
};

export interface RouteDocument {
  summary: string;
  description: string;
  status: 200 | 201 | 202;
  answer: string;
  schema: Schema;
  hasId?: boolean;
  hasBody?: boolean;
  /** Whether it depends on what was done before. */
  hasState?: boolean;
  carriesSecret?: boolean;
  /** Whether a query parameter may name a webhook. */
  mayNameWebhook?: boolean;
  /** Of an answer that is not JSON, with an example. */
  mediaType?: string;
  /** What can be asked next, with what of the answer. */
  links?: Readonly<Record<string, LinkDocument>>;
  /** What it will lead to. */
  callbacks?: object;
  example?: string;
}

/** The `detail` of a /v1 route: summary, security, and every answer with its headers and an example. */
export function documentRoute({ summary, description, status, answer, schema, ...traits }: RouteDocument) {
  const codes = [
    ...EVERY_V1,
    ...(traits.hasId || traits.mayNameWebhook ? WITH_ID : []),
    ...(traits.hasBody ? WITH_BODY : []),
    ...(traits.hasState ? WITH_STATE : []),
  ];
  const headers = { ...REQUEST_ID, ...RATE_LIMIT, ...(traits.carriesSecret && NO_STORE) };
  const examples = EXAMPLES[String(schema.$ref)];
  const { mediaType = "application/json", example, links, callbacks } = traits;
  const content = { [mediaType]: { schema, ...(examples && { examples }), ...(example && { example }) } };
  return {
    summary,
    description,
    security: [{ apiKey: [] }],
    responses: {
      [status]: { description: answer, headers, content, ...(links && { links }) },
      ...errorAnswers(codes),
    },
    ...(callbacks && { callbacks }),
  } as object;
}

/** An answer of a route that needs no key. */
export function openAnswer(description: string, mediaType: string, schema: Schema, example?: unknown) {
  const content = { [mediaType]: { schema, ...(example !== undefined && { example }) } };
  return { description, headers: REQUEST_ID, content };
}
