import { swagger } from "@elysiajs/swagger";
import { Elysia } from "elysia";
import icon from "swagger-ui-dist/favicon-32x32.png" with { type: "file" };
import stylesheet from "swagger-ui-dist/swagger-ui.css" with { type: "file" };
// Embedded: the page must work from one file and without internet.
import bundle from "swagger-ui-dist/swagger-ui-bundle.js" with { type: "file" };
import { ERROR_ANSWERS } from "./error-answers.ts";
import { type ApiDocument, finishDocument } from "./finish-document.ts";
import { SCHEMAS } from "./models.ts";

/** The plugin's own page loads its assets from a CDN, so it is put where the gate lets nobody, and ours is served. */
export const PLUGIN_PAGE = "/swagger/plugin-page";
export const DOCUMENT_PATH = "/swagger/json";

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>armorhooks API</title>
    <link rel="stylesheet" href="/swagger/swagger-ui.css">
    <style>body { margin: 0; }</style>
    <link rel="icon" type="image/png" href="/swagger/favicon.png">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <noscript>This page needs JavaScript; the OpenAPI document is at <a href="/swagger/json">/swagger/json</a>.</noscript>
    <script src="/swagger/swagger-ui-bundle.js"></script>
    <script src="/swagger/start.js"></script>
  </body>
</html>
`;

// persistAuthorization stays off: a key must not be left behind in the browser's storage.
const START = `window.ui = SwaggerUIBundle({
  url: "/swagger/json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: false,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
`;

/** Swagger UI styles its page from script, hence inline styles; everything else only from here. */
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const DESCRIPTION = `Register webhook endpoints to receive real-time HTTP callbacks when scans trigger risk signals.

**Plan requirement:** webhook alerts require the \`webhookAlerts\` feature, available on Professional plans and above. Without it every /v1 route answers 403 \`FEATURE_NOT_AVAILABLE\`.

**Authentication:** \`Authorization: Bearer ia_sk_…\`, the key as \`armorhooks key create\` printed it. Press Authorize to use it on this page.

**Errors** all have one form: \`{ "error": { "code", "message", "request_id" } }\`. A path that does not exist answers 404 \`NOT_FOUND\`, a known path that is asked with another method 405 \`METHOD_NOT_ALLOWED\` with an \`allow\` header. Only what the HTTP server refuses before it reads a request has no envelope: a body over 1 MiB (413), too many header bytes (431).

**Headers:** every answer carries \`x-request-id\`; answers to requests with a valid key carry \`x-ratelimit-limit\`, \`x-ratelimit-remaining\` and \`x-ratelimit-reset\`. A key that may only read is told so by \`x-key-access: read\`.`;

const hidden = { detail: { hide: true } };

/** The page, its assets, and the document that @elysiajs/swagger derives from the routes. */
export function docsRoutes(version: string) {
  return new Elysia()
    .get("/swagger", () => textAnswer(PAGE, "text/html; charset=utf-8", PAGE_POLICY), hidden)
    .get("/swagger/start.js", () => textAnswer(START, "text/javascript; charset=utf-8"), hidden)
    .get("/swagger/swagger-ui-bundle.js", () => fileAnswer(bundle, "text/javascript; charset=utf-8"), hidden)
    .get("/swagger/swagger-ui.css", () => fileAnswer(stylesheet, "text/css; charset=utf-8"), hidden)
    .get("/swagger/favicon.png", () => fileAnswer(icon, "image/png"), hidden)
    .use(openApiRoute(version));
}

/** The document: what the plugin derives from the routes, finished on its way out. */
function openApiRoute(version: string) {
  return new Elysia()
    .onAfterHandle(({ response }) =>
      response instanceof Response ? response : finishDocument(response as unknown as ApiDocument),
    )
    .use(
      swagger({
        path: PLUGIN_PAGE,
        specPath: DOCUMENT_PATH,
        exclude: [PLUGIN_PAGE, DOCUMENT_PATH],
        documentation: {
          info: {
            title: "armorhooks",
            version,
            description: DESCRIPTION,
            license: { name: "MIT license" },
          },
          tags: [
            { name: "Webhooks", description: "Register and manage webhooks." },
            { name: "Deliveries", description: "See what was sent, and send it again." },
            {
              name: "Events",
              description: "See what came in, how webhooks do, and what happens as it happens.",
            },
            { name: "Operations", description: "For monitors; no key needed." },
          ],
          components: {
            schemas: SCHEMAS as Record<string, object>,
            responses: ERROR_ANSWERS,
            securitySchemes: {
              apiKey: {
                type: "http",
                scheme: "bearer",
                bearerFormat: "ia_sk_ and 48 hex digits",
                description: "An API key, as `armorhooks key create` printed it.",
              },
            },
          },
        },
      }),
    );
}

function textAnswer(text: string, contentType: string, policy?: string): Response {
  const headers = new Headers({ "content-type": contentType });
  if (policy) headers.set("content-security-policy", policy);
  return new Response(text, { headers });
}

function fileAnswer(path: string, contentType: string): Response {
  return new Response(Bun.file(path), { headers: { "content-type": contentType } });
}
