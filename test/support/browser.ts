import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { newDir, type RunningDaemon, removeDir } from "./daemon.ts";
import { atEnd } from "./e2e.ts";
import { ROOT } from "./sources.ts";

const CHROMIUM = "/usr/bin/chromium";
const isMissing = !existsSync(CHROMIUM);

/** Whether tests in a browser are left out: where there is none, but never in CI. */
export const NO_BROWSER = isMissing && process.env.CI !== "true";
if (NO_BROWSER) console.warn(`skipped: tests in a browser need ${CHROMIUM}`);

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

/** Enough for a test in a browser on a machine that does other things too. */
export const BROWSER_TIMEOUT_MS = 60_000;

export interface OwnBrowser {
  browser: Browser;
  close(): Promise<void>;
}

/** Chromium with a home of its own: it writes below its home what does not belong to a profile. */
export async function launchBrowser(): Promise<OwnBrowser> {
  const home = newDir();
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ARGUMENTS,
    env: { PATH: process.env.PATH ?? "", HOME: home },
    timeout: 30_000,
  });
  return {
    browser,
    async close() {
      await browser.close();
      removeDir(home);
    },
  };
}

export interface Opened {
  page: Page;
  /** Everything that was wrong with the page so far: what it threw or was refused, and what it asked of other hosts. */
  faults: string[];
}

/** A page in a context of its own, which goes with the test. */
export async function openPage(
  { browser }: OwnBrowser,
  daemon: Pick<RunningDaemon, "url">,
  options: BrowserContextOptions = {},
): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  atEnd(() => context.close());
  const faults: string[] = [];
  context.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== "data:" && origin !== daemon.url) faults.push(`asked ${request.url()}`);
  });
  context.on("weberror", (error) => faults.push(`threw: ${error.error().message}`));
  // Violations of the page's policy are among the errors of the console.
  context.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") faults.push(message.text());
  });
  return { page: await context.newPage(), faults };
}

/** Pictures are kept here to be looked at; CI keeps the folder. */
export const PICTURES = process.env.ARMORHOOKS_TEST_PICTURES || join(ROOT, "dist/pictures");

/** Keeps a picture of the whole page. */
export async function picture(page: Page, name: string): Promise<void> {
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true });
}
