import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import {
  BROWSER_TIMEOUT_MS,
  launchBrowser,
  NO_BROWSER,
  type OwnBrowser,
  openPage,
  picture,
} from "../support/browser.ts";
import type { RunningDaemon } from "../support/daemon.ts";
import { cleanUp, register, startBinary } from "../support/e2e.ts";
import { type OpenApi, operations } from "../support/openapi.ts";

describe.skipIf(NO_BROWSER)("the Swagger page in a browser", () => {
  let browser: OwnBrowser;

  beforeAll(async () => {
    browser = await launchBrowser();
  }, BROWSER_TIMEOUT_MS);
  afterEach(cleanUp);
  afterAll(() => browser?.close(), BROWSER_TIMEOUT_MS);

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
      await picture(page, "swagger");
      expect(faults).toEqual([]);
    },
    BROWSER_TIMEOUT_MS,
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
      await picture(page, "swagger-try-it-out");
      expect(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))).not.toContain(
        "ia_sk_",
      );
      expect(faults).toEqual([]);
    },
    BROWSER_TIMEOUT_MS,
  );
});

/** The page once it has drawn its operations, and everything that was wrong with it since. */
async function open(browser: OwnBrowser, daemon: RunningDaemon): Promise<{ page: Page; faults: string[] }> {
  const opened = await openPage(browser, daemon, { viewport: { width: 1280, height: 1600 } });
  const { page, faults } = opened;
  page.context().on("requestfailed", (request) => faults.push(`failed: ${request.url()}`));
  const answer = await page.goto(`${daemon.url}/swagger`);
  expect(answer?.status()).toBe(200);
  await page.locator(".opblock").first().waitFor();
  return opened;
}

async function authorize(page: Page, key: string): Promise<void> {
  await page.locator(".scheme-container button.authorize").click();
  const dialog = page.locator(".dialog-ux .modal-ux");
  await dialog.locator("input").fill(key);
  await dialog.getByRole("button", { name: "Apply credentials" }).click();
  await dialog.getByRole("button", { name: "Remove authorization" }).waitFor();
  await picture(page, "swagger-authorize");
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
