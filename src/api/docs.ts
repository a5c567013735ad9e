import { swagger } from "@elysiajs/swagger";
import { Elysia } from "elysia";
import icon from "swagger-ui-dist/favicon-32x32.png" with { type: "file" };
import stylesheet from "swagger-ui-dist/swagger-ui.css" with { type: "file" };
// Embedded: the page must work from one file and without internet.
import bundle from "swagger-ui-dist/swagger-ui-bundle.js" with { type: "file" };
import { SCHEMAS } from "./documents.ts";

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

const hidden = { detail: { hide: true } };

/** The page, its assets, and the document that @elysiajs/swagger derives from the routes. */
export function docsRoutes(version: string) {
  return new Elysia()
    .get("/swagger", () => textAnswer(PAGE, "text/html; charset=utf-8", PAGE_POLICY), hidden)
    .get("/swagger/start.js", () => textAnswer(START, "text/javascript; charset=utf-8"), hidden)
    .get("/swagger/swagger-ui-bundle.js", () => fileAnswer(bundle, "text/javascript; charset=utf-8"), hidden)
    .get("/swagger/swagger-ui.css", () => fileAnswer(stylesheet, "text/css; charset=utf-8"), hidden)
    .get("/swagger/favicon.png", () => fileAnswer(icon, "image/png"), hidden)
    .use(
      swagger({
        path: PLUGIN_PAGE,
        specPath: DOCUMENT_PATH,
        exclude: [PLUGIN_PAGE, DOCUMENT_PATH],
        documentation: {
          info: {
            title: "armorhooks",
            version,
            description:
              'Register webhook endpoints to receive real-time HTTP callbacks when scans trigger risk signals.\n\nPlan requirement: webhook alerts require the webhookAlerts feature, available on Professional plans and above.\n\nErrors all have one form: `{ "error": { "code", "message", "request_id" } }`. A known path that is asked with another method answers 405 `METHOD_NOT_ALLOWED` with an `allow` header; a body or head that the HTTP server itself refuses (over 1 MiB, 431) is answered without the envelope.',
          },
          tags: [
            { name: "Webhooks", description: "Register and manage webhooks." },
            { name: "Deliveries", description: "See what was sent, and send it again." },
            { name: "Operations", description: "For monitors; no key needed." },
          ],
          components: {
            schemas: SCHEMAS as Record<string, object>,
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
