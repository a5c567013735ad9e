import { Elysia, status } from "elysia";
import type { RequestContext, RequestContexts } from "./context.ts";
import { REQUEST_ID, REQUEST_ID_EXAMPLE, ref } from "./document-parts.ts";
import { openAnswer } from "./documents.ts";
import { errorAnswer, RETRY_AFTER } from "./error-answers.ts";
import { envelope, unavailable } from "./errors.ts";
import { READ_JSON } from "./gate.ts";

export interface OperationRouteOptions {
  version: string;
  contexts: RequestContexts;
  /** Whether work is accepted: false while starting, draining, or when the store cannot write. */
  isHealthy: () => boolean;
  /** Prometheus text, and its content type. */
  metrics: () => Promise<{ text: string; contentType: string }>;
}

const UNHEALTHY = "the daemon is starting or draining, or the store cannot write";
const UNHEALTHY_EXAMPLE = {
  status: "unavailable",
  version: "0.1.0",
  ...envelope(unavailable(UNHEALTHY), REQUEST_ID_EXAMPLE),
};

/** What load balancers and monitors ask, without a key. */
export function operationRoutes({ version, isHealthy, metrics, contexts }: OperationRouteOptions) {
  return new Elysia({ normalize: false, tags: ["Operations"] })
    .get(
      "/health",
      ({ request, set }) => {
        if (isHealthy()) return { status: "ok", version };
        const error = unavailable(UNHEALTHY);
        Object.assign(set.headers, error.headers);
        const { requestId } = contexts.get(request) as RequestContext;
        return status(503, { status: "unavailable", version, ...envelope(error, requestId) });
      },
      {
        parse: READ_JSON,
        detail: {
          summary: "Health",
          description: "Whether armorhooks accepts work. Needs no key.",
          responses: {
            200: openAnswer("It does.", "application/json", ref("Health")),
            503: {
              ...openAnswer(
                "It is starting or draining, or the store cannot write.",
                "application/json",
                ref("Unhealthy"),
                UNHEALTHY_EXAMPLE,
              ),
              headers: { ...REQUEST_ID, ...RETRY_AFTER },
            },
          },
        } as object,
      },
    )
    .get(
      "/metrics",
      async ({ set }) => {
        const { text, contentType } = await metrics();
        set.headers["content-type"] = contentType;
        return text;
      },
      {
        parse: READ_JSON,
        detail: {
          summary: "Metrics",
          description: "Metrics in the Prometheus text format. Needs no key.",
          responses: {
            200: openAnswer("The metrics.", "text/plain", { type: "string" }),
            500: errorAnswer("INTERNAL_ERROR"),
          },
        } as object,
      },
    );
}
