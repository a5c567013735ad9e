import { brotliCompressSync, gunzipSync } from "node:zlib";
import { Elysia } from "elysia";
import { AppError } from "../errors.ts";

/** The views of the page: each has an address of its own, and the page finds out from it what to show. */
const VIEWS = [
  "/dashboard",
  "/dashboard/new",
  "/dashboard/webhooks/:id",
  "/dashboard/deliveries/:id",
  "/dashboard/events",
  "/dashboard/events/:id",
] as const;
const ASSETS = "/dashboard/assets";

/** Nothing inline, nothing evaluated, nothing from another host, and no text of others that becomes markup. */
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const TYPES: Readonly<Record<string, string>> = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};
/** A hashed name never stands for other bytes. */
const FOREVER = "public, max-age=31536000, immutable";

interface Asset {
  type: string;
  brotli: Uint8Array<ArrayBuffer>;
  gzip: Uint8Array<ArrayBuffer>;
}

const hidden = { detail: { hide: true } };

/** The page for people with an API key, and the way to it. It needs no key itself: it asks the API with the reader's. */
export function pageRoutes() {
  let loading: Promise<Page> | undefined;
  const load = (): Promise<Page> => {
    loading ??= loadPage();
    return loading;
  };
  const showView = async ({ request }: { request: Request }): Promise<Response> =>
    answer((await load()).document, request, "no-cache", { "content-security-policy": PAGE_POLICY });

  const app = new Elysia()
    .get("/", () => new Response(null, { status: 302, headers: { location: VIEWS[0] } }), hidden)
    .get(
      `${ASSETS}/:name`,
      async ({ request, params }) => {
        const asset = (await load()).assets.get(params.name);
        if (!asset) throw new AppError("NOT_FOUND", "no such file; open /dashboard anew");
        return answer(asset, request, FOREVER);
      },
      hidden,
    );
  for (const view of VIEWS) app.get(view, showView, hidden);
  return app;
}

interface Page {
  document: Asset;
  assets: ReadonlyMap<string, Asset>;
}

async function loadPage(): Promise<Page> {
  const { PAGE_FILES } = await import("./page-files.ts");
  const assets = new Map(
    PAGE_FILES.map(({ name, brotli, gzip }) => [
      name,
      { type: typeOf(name), brotli: fromBase64(brotli), gzip: fromBase64(gzip) },
    ]),
  );
  return { document: writeDocument([...assets.keys()]), assets };
}

function writeDocument(names: readonly string[]): Asset {
  const path = (extension: string) => `${ASSETS}/${names.find((name) => name.endsWith(`.${extension}`))}`;
  const text = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>armorhooks</title>
    <link rel="stylesheet" href="${path("css")}">
    <link rel="icon" type="image/svg+xml" href="${path("svg")}">
    <script type="module" src="${path("js")}"></script>
  </head>
  <body>
    <div id="page"><p class="starting">armorhooks</p></div>
    <noscript>This page needs JavaScript. The API does not: see <a href="/swagger">its documentation</a>.</noscript>
  </body>
</html>
`;
  return { type: "text/html; charset=utf-8", ...compressText(text) };
}

function compressText(text: string): Pick<Asset, "brotli" | "gzip"> {
  const bytes = Buffer.from(text);
  return { brotli: new Uint8Array(brotliCompressSync(bytes)), gzip: Bun.gzipSync(bytes) };
}

function answer(
  asset: Asset,
  request: Request,
  caching: string,
  more: Record<string, string> = {},
): Response {
  const encoding = chooseEncoding(request.headers.get("accept-encoding"));
  const headers = new Headers({
    "content-type": asset.type,
    "cache-control": caching,
    vary: "accept-encoding",
    ...more,
  });
  if (encoding === null) return new Response(new Uint8Array(gunzipSync(asset.gzip)), { headers });
  headers.set("content-encoding", encoding);
  return new Response(encoding === "br" ? asset.brotli : asset.gzip, { headers });
}

/** The smallest that is taken (RFC 9110, section 12.5.3); null for as it is. */
function chooseEncoding(accepted: string | null): "br" | "gzip" | null {
  const taken = (accepted ?? "")
    .split(",")
    .map((one) =>
      one
        .trim()
        .toLowerCase()
        .split(/\s*;\s*/),
    )
    .filter(([, quality]) => !/^q=0(\.0*)?$/.test(quality ?? ""))
    .map(([name]) => name);
  return (["br", "gzip"] as const).find((name) => taken.includes(name)) ?? null;
}

function typeOf(name: string): string {
  return TYPES[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream";
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromBase64(text) as Uint8Array<ArrayBuffer>;
}
