import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { newDir, type RunningDaemon, removeDir, startDaemon } from "../support/daemon.ts";

const VIEWS = [
  "/dashboard",
  "/dashboard/new",
  "/dashboard/events",
  "/dashboard/events/019bc0f6-5bff-7000-9d3a-52c8f1d7a460",
  "/dashboard/webhooks/0b3b3f4e-6f0a-4c53-9a2e-5d2d4d8f5c11",
  "/dashboard/deliveries/019bc0f6-5c00-7000-9d3a-52c8f1d7a460",
];

describe("the page's files, from the sources", () => {
  const dir = newDir();
  let daemon: RunningDaemon;
  let paths: string[];

  beforeAll(async () => {
    daemon = await startDaemon({ dir });
    const document = await (await fetch(`${daemon.url}/dashboard`)).text();
    paths = [...document.matchAll(/(?:src|href)="(\/dashboard\/assets\/[^"]+)"/g)].map(
      (match) => match[1] as string,
    );
  }, 30_000);
  afterAll(async () => {
    await daemon?.stop();
    removeDir(dir);
  });

  /** What comes over the wire, as it was sent. */
  const get = (path: string, encoding: string) =>
    fetch(daemon.url + path, {
      headers: { "accept-encoding": encoding },
      redirect: "manual",
      decompress: false,
    });

  test("are led to from the root", async () => {
    const answer = await get("/", "");
    expect([answer.status, answer.headers.get("location")]).toEqual([302, "/dashboard"]);
  });

  test.each(VIEWS)(
    "%s is a view, which needs no key, is asked for each time and allows nothing inline",
    async (view) => {
      const answer = await get(view, "");
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-type")).toBe("text/html; charset=utf-8");
      expect(answer.headers.get("cache-control")).toBe("no-cache");
      const policy = answer.headers.get("content-security-policy") ?? "";
      expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
      expect(policy).not.toMatch(/unsafe|\*|data:|https?:/);
    },
  );

  test("other addresses below it are none", async () => {
    for (const path of [
      "/dashboard/nothing",
      "/dashboard/assets/main.js",
      "/dashboard/assets/..%2fmain.js",
    ]) {
      expect((await get(path, "")).status, path).toBe(404);
    }
    const posted = await fetch(`${daemon.url}/dashboard`, { method: "POST" });
    expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });

  test("are three, whose names say what is in them, and which are kept for ever", async () => {
    expect(paths.map((path) => path.replace(/-\w+\./, "-HASH."))).toEqual([
      "/dashboard/assets/main-HASH.css",
      "/dashboard/assets/icon-HASH.svg",
      "/dashboard/assets/main-HASH.js",
    ]);
    for (const path of paths) {
      expect((await get(path, "gzip")).headers.get("cache-control")).toBe(
        "public, max-age=31536000, immutable",
      );
    }
  });

  test("come in the smallest form that is taken, and are the same in each", async () => {
    for (const path of [...paths, "/dashboard"]) {
      const forms = await Promise.all(
        ["", "br;q=0, identity", "gzip", "gzip, deflate, br, zstd", "br;q=1.0"].map((encoding) =>
          get(path, encoding),
        ),
      );
      expect(forms.map(({ headers }) => headers.get("content-encoding"))).toEqual([
        null,
        null,
        "gzip",
        "br",
        "br",
      ]);
      expect(forms.map(({ headers }) => headers.get("vary"))).toEqual(Array(5).fill("accept-encoding"));
      const [plain, plainAgain, gzip, brotli] = await Promise.all(
        forms.map(async (form) => Buffer.from(await form.arrayBuffer())),
      );
      expect(plainAgain).toEqual(plain as Buffer<ArrayBuffer>);
      expect(gunzipSync(gzip as Buffer)).toEqual(plain as Buffer<ArrayBuffer>);
      expect(brotliDecompressSync(brotli as Buffer)).toEqual(plain as Buffer<ArrayBuffer>);
    }
  });

  test("have nothing inline, and no address of another host", async () => {
    const document = await (await get("/dashboard", "")).text();
    expect(document).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\bon\w+=|style=/);
    expect(document).not.toMatch(/https?:/);
  });

  test("HEAD is answered with the same header fields", async () => {
    const answer = await fetch(`${daemon.url}${paths[2]}`, {
      method: "HEAD",
      headers: { "accept-encoding": "br" },
    });
    expect([answer.status, answer.headers.get("content-encoding"), await answer.text()]).toEqual([
      200,
      "br",
      "",
    ]);
  });
});
