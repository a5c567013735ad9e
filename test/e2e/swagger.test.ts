import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { newDir, type RunningDaemon, removeDir } from "../support/daemon.ts";
import { atEnd, cleanUp, register, startBinary } from "../support/e2e.ts";
import { type OpenApi, operations } from "../support/openapi.ts";

const CHROMIUM = "/usr/bin/chromium";
const isMissing = !existsSync(CHROMIUM);
const inCi = process.env.CI === "true";
if (isMissing && !inCi) console.warn(`skipped: the tests of the Swagger page need ${CHROMIUM}`);

/** Every host but the daemon's is unreachable, and Chromium itself has no business with any. */
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];
const TIMEOUT_MS = 30_000;

describe.skipIf(isMissing && !inCi)("the Swagger page in a browser", () => {
  let browser: Browser;
  // Chromium writes below its home what does not belong to a profile.
  let home: string;

  beforeAll(async () => {
    home = newDir();
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ARGUMENTS,
      env: { PATH: process.env.PATH ?? "", HOME: home },
      timeout: TIMEOUT_MS,
    });
  }, TIMEOUT_MS);
  afterEach(cleanUp);
  afterAll(async () => {
    await browser?.close();
    removeDir(home);
  }, TIMEOUT_MS);

  test(
    "shows every operation of the OpenAPI document, with nothing from another host",
    async () => {
      const daemon = await startBinary();
      const { page, faults } = await open(browser, daemon);
      const document = (await daemon.api("GET", "/swagger/json")).body as OpenApi;
      const shown = await page
        .locator(".opblock-summary")
        .evaluateAll((all) =>
          all.map((one) =>
            [".opblock-summary-method", ".opblock-summary-path", ".opblock-summary-description"].map((part) =>
              one.querySelector(part)?.textContent?.replaceAll("\u200b", ""),
            ),
          ),
        );
      const documented = operations(document).map(({ name, path, operation }) => [
        name.split(" ")[0],
        path,
        operation.summary,
      ]);
      expect(shown.toSorted()).toEqual(documented.toSorted());
      expect(await page.locator(".info .title").textContent()).toContain(document.info.title);
      expect(await page.locator(".errors-wrapper").count()).toBe(0);
      await picture(page, "page");
      expect(faults).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    "takes a key with Authorize, and shows the real answer with Try it out",
    async () => {
      const daemon = await startBinary();
      await register(daemon, "https://hooks.example.com/services/1");
      const { page, faults } = await open(browser, daemon);
      await authorize(page, daemon.key);
      const { status, body } = await tryOut(page, "Webhooks-getV1Webhooks");
      const { webhooks } = (await daemon.api("GET", "/v1/webhooks")).body;
      expect(status).toBe("200");
      expect(webhooks).toHaveLength(1);
      expect(JSON.parse(body)).toEqual({ webhooks });
      await picture(page, "try-it-out");
      expect(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))).not.toContain(
        "ia_sk_",
      );
      expect(faults).toEqual([]);
    },
    TIMEOUT_MS,
  );
});

/** The page once it has drawn its operations, and everything that was wrong with it since. */
async function open(browser: Browser, daemon: RunningDaemon): Promise<{ page: Page; faults: string[] }> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 1600 } });
  atEnd(() => context.close());
  const faults: string[] = [];
  context.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== "data:" && origin !== daemon.url) faults.push(`asked ${request.url()}`);
  });
  context.on("requestfailed", (request) => faults.push(`failed: ${request.url()}`));
  context.on("weberror", (error) => faults.push(`threw: ${error.error().message}`));
  // Violations of the page's policy are among the errors of the console.
  context.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") faults.push(message.text());
  });
  const page = await context.newPage();
  const answer = await page.goto(`${daemon.url}/swagger`);
  expect(answer?.status()).toBe(200);
  await page.locator(".opblock").first().waitFor();
  return { page, faults };
}

async function authorize(page: Page, key: string): Promise<void> {
  await page.locator(".scheme-container button.authorize").click();
  const dialog = page.locator(".dialog-ux .modal-ux");
  await dialog.locator("input").fill(key);
  await dialog.getByRole("button", { name: "Apply credentials" }).click();
  await dialog.getByRole("button", { name: "Remove authorization" }).waitFor();
  await picture(page, "authorize");
  await dialog.locator("button.btn-done").click();
}

/** Presses Try it out and Execute; answers what the page then shows. */
async function tryOut(page: Page, operation: string): Promise<{ status: string; body: string }> {
  const block = page.locator(`#operations-${operation}`);
  await block.locator(".opblock-summary-control").click();
  await block.getByRole("button", { name: "Try it out" }).click();
  await block.getByRole("button", { name: "Execute" }).click();
  const response = block.locator(".live-responses-table tr.response").first();
  const [status, body] = await Promise.all([
    response.locator(".response-col_status").textContent(),
    response.locator(".highlight-code code").first().textContent(),
  ]);
  return { status: status ?? "", body: body ?? "" };
}

/** Keeps a picture of the page where ARMORHOOKS_TEST_PICTURES names a directory, to be looked at. */
async function picture(page: Page, name: string): Promise<void> {
  const directory = process.env.ARMORHOOKS_TEST_PICTURES;
  if (directory) await page.screenshot({ path: join(directory, `${name}.png`) });
}
