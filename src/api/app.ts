import { Elysia } from "elysia";
import { newRequestId } from "../ids.ts";
import type { RequestContext, RequestContexts } from "./context.ts";
import { type DeliveryRouteOptions, deliveryRoutes } from "./deliveries.ts";
import { docsRoutes, PLUGIN_PAGE } from "./docs.ts";
import { envelope, toAppError } from "./errors.ts";
import { type EventRouteOptions, eventRoutes } from "./events.ts";
import { createGate, type GateOptions } from "./gate.ts";
import { type OperationRouteOptions, operationRoutes } from "./operations.ts";
import { pageRoutes } from "./page.ts";
import { type StatisticsRouteOptions, statisticsRoutes } from "./statistics.ts";
import { type StreamRouteOptions, streamRoutes } from "./stream.ts";
import { type WebhookRouteOptions, webhookRoutes } from "./webhooks.ts";

export interface AppOptions {
  version: string;
  gate: Omit<GateOptions, "routes">;
  webhooks: Omit<WebhookRouteOptions, "contexts">;
  deliveries: Omit<DeliveryRouteOptions, "contexts">;
  events: Omit<EventRouteOptions, "contexts">;
  statistics: Omit<StatisticsRouteOptions, "contexts">;
  stream: Omit<StreamRouteOptions, "contexts" | "stillHolds">;
  operations: Omit<OperationRouteOptions, "contexts">;
  /** A fault of ours, with the id that the caller was given. */
  onFault: (error: unknown, requestId: string) => void;
}

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
};

/** The HTTP API: one Elysia instance per controller, behind one gate and one error handler. */
export function createApp({ version, gate: gateOptions, onFault, ...options }: AppOptions) {
  const contexts: RequestContexts = new WeakMap();

  const app = new Elysia({ normalize: false })
    .onRequest(async ({ request, set }) => {
      if (contexts.has(request)) return;
      const isHead = request.method === "HEAD";
      const context: RequestContext = { requestId: newRequestId(), isHead, identity: null };
      contexts.set(request, context);
      Object.assign(set.headers, SECURITY_HEADERS, { "x-request-id": context.requestId });
      // Bun's server dates every answer but those to HEAD.
      if (isHead) set.headers.date = new Date().toUTCString();
      context.identity = await gate.admit(request, set.headers as Record<string, string | number>);
    })
    .onError(({ request, error, set }) => {
      const requestId = contexts.get(request)?.requestId ?? newRequestId();
      const known = toAppError(error, (fault) => onFault(fault, requestId));
      set.status = known.status;
      Object.assign(set.headers, known.headers, { "content-type": "application/json" });
      return new Response(JSON.stringify(envelope(known, requestId)));
    })
    .use(webhookRoutes({ ...options.webhooks, contexts }))
    .use(deliveryRoutes({ ...options.deliveries, contexts }))
    .use(eventRoutes({ ...options.events, contexts }))
    .use(statisticsRoutes({ ...options.statistics, contexts }))
    .use(streamRoutes({ ...options.stream, contexts, stillHolds: (request) => gate.stillHolds(request) }))
    .use(operationRoutes({ ...options.operations, contexts }))
    .use(pageRoutes())
    .use(docsRoutes(version));

  const routes = app.routes.filter(({ path }) => path !== PLUGIN_PAGE);
  const gate = createGate({ ...gateOptions, routes: routes.map(({ method, path }) => ({ method, path })) });
  return app.head("*", ({ request }) => answerAsGet(request), { detail: { hide: true } });

  /** HEAD is answered as GET (RFC 9110, section 9.3.2); the HTTP server leaves the body out and says its length. */
  function answerAsGet(request: Request): Promise<Response> {
    const get = new Request(request.url, { headers: request.headers });
    const context = contexts.get(request);
    // It has been admitted, and counted against the key's limit, once.
    if (context) contexts.set(get, context);
    return app.handle(get);
  }
}
