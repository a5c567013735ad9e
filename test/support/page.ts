import { expect } from "bun:test";
import type { BrowserContextOptions, Page } from "playwright-core";
import { type Opened, type OwnBrowser, openPage } from "./browser.ts";
import type { RunningDaemon } from "./daemon.ts";
import { commandJson } from "./e2e.ts";

/** A key for a page that is used faster than by hand. */
export async function makeKey(daemon: RunningDaemon, ...options: string[]): Promise<string> {
  const args = ["key", "create", "--org", daemon.organizationId, "--rate-limit", "100000", ...options];
  return (await commandJson(daemon.dir, ...args)).raw_key;
}

/** The page at a path, signed in with a key as a person does it. */
export async function signIn(
  browser: OwnBrowser,
  daemon: RunningDaemon,
  { key, path = "/dashboard", ...options }: BrowserContextOptions & { key?: string; path?: string } = {},
): Promise<Opened> {
  const opened = await openPage(browser, daemon, options);
  const { page } = opened;
  const answer = await page.goto(daemon.url + path);
  expect(answer?.status()).toBe(200);
  await page.getByLabel("API key").fill(key ?? (await makeKey(daemon)));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("link", { name: "Webhooks" }).waitFor();
  return opened;
}

/** Everything that the browser keeps for the page. */
export async function stored(
  page: Page,
): Promise<{ session: string[]; local: string[]; cookies: unknown[] }> {
  const read = (): { session: string[]; local: string[] } => ({
    session: Object.values({ ...sessionStorage }),
    local: Object.values({ ...localStorage }),
  });
  return { ...(await page.evaluate(read)), cookies: await page.context().cookies() };
}
