import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import axe from "axe-core";
import type { Page } from "playwright-core";
import {
  BROWSER_TIMEOUT_MS,
  launchBrowser,
  NO_BROWSER,
  type OwnBrowser,
  openPage,
  picture,
} from "../support/browser.ts";
import { connectScanner, type RunningDaemon, scan, until } from "../support/daemon.ts";
import { atEnd, cleanUp, deliveriesOf, receive, register, startBinary } from "../support/e2e.ts";
import { makeKey, signIn } from "../support/page.ts";

/** What others may write into fields that the page shows. */
const MARKUP = `<img src=x onerror="globalThis.ran=1"><script>globalThis.ran=1</script>`;

const LOOKS = (["light", "dark"] as const).flatMap((colorScheme) =>
  [1280, 360].map((width) => ({ colorScheme, width })),
);

describe.skipIf(NO_BROWSER)("the views of the page", () => {
  let browser: OwnBrowser;

  beforeAll(async () => {
    browser = await launchBrowser();
  }, BROWSER_TIMEOUT_MS);
  afterEach(cleanUp);
  afterAll(() => browser?.close(), BROWSER_TIMEOUT_MS);

  test.each(LOOKS)(
    "have nothing that axe finds grave, scroll nowhere sideways and show markup as text: $colorScheme, $width",
    async ({ colorScheme, width }) => {
      const daemon = await startBinary({ args: ["--retry-min-delay", "1h"] });
      const views = await fill(daemon);
      const look = { colorScheme, viewport: { width, height: 860 } };
      const first = await openPage(browser, daemon, look);
      await first.page.goto(`${daemon.url}/dashboard`);
      await first.page.getByLabel("API key").waitFor();
      await check(first.page, `sign-in-${colorScheme}-${width}`);

      const { page, faults } = await signIn(browser, daemon, look);
      for (const [name, { path, wait }] of Object.entries(views)) {
        await page.goto(daemon.url + path);
        await page.getByText(wait).first().waitFor();
        await page.locator(".live.live").waitFor();
        // What is asked for after the first answer, such as the reasons, is part of the picture.
        await page.waitForLoadState("load");
        await Bun.sleep(700);
        await check(page, `${name}-${colorScheme}-${width}`);
      }
      await page.goto(`${daemon.url}${views.webhook.path}`);
      await page.getByRole("button", { name: "Rotate secret" }).click();
      await page.locator(".secret .value").waitFor();
      await page.getByRole("button", { name: "Delete" }).click();
      await page.getByRole("button", { name: "Change" }).click();
      await page.getByText("More: filter").click();
      await check(page, `webhook-open-${colorScheme}-${width}`);
      expect(faults).toEqual([]);
    },
    BROWSER_TIMEOUT_MS * 2,
  );

  test(
    "of an empty installation say what to do next",
    async () => {
      const daemon = await startBinary();
      const { page, faults } = await signIn(browser, daemon);
      await page.getByRole("heading", { name: "Nothing is set up yet." }).waitFor();
      await page.getByText("armorhooks listen").waitFor();
      await page.getByText("| armorhooks send").waitFor();
      await check(page, "empty");
      await page.getByRole("link", { name: "Events" }).click();
      await page.getByText("| armorhooks send").waitFor();
      await check(page, "empty-events");
      expect(faults).toEqual([]);
    },
    BROWSER_TIMEOUT_MS,
  );

  test(
    "show what is older a page at a time, each once, down to the first",
    async () => {
      const daemon = await startBinary();
      const receiver = receive();
      const webhook = await register(daemon, receiver.url);
      const scanner = await connectScanner(daemon.socket);
      await scanner.send(...Array.from({ length: 120 }, (_, n) => scan({ id: `scan-${n}` })));
      scanner.close();
      await until("all have arrived", () => receiver.received.length === 120);
      const { page, faults } = await signIn(browser, daemon, { path: "/dashboard/events" });
      const older = page.getByRole("button", { name: "Show older" });
      const expectRows = async (list: string, ...counts: number[]): Promise<string[]> => {
        const rows = page.getByRole("list", { name: list }).getByRole("listitem");
        for (const count of counts) {
          await rows.nth(count - 1).waitFor();
          expect(await rows.count()).toBe(count);
          if (count !== counts.at(-1)) await older.click();
        }
        expect(await older.count()).toBe(0);
        return rows.getByRole("link").evaluateAll((links) => links.map((link) => link.getAttribute("href")));
      };
      expect(new Set(await expectRows("Events", 50, 100, 120)).size).toBe(120);
      await page.goto(`${daemon.url}/dashboard/webhooks/${webhook.id}`);
      expect(new Set(await expectRows("Deliveries", 25, 50, 75, 100, 120)).size).toBe(120);
      // What comes now pushes the last ones of the first page down, and none out.
      const later = await connectScanner(daemon.socket);
      await later.send(...Array.from({ length: 7 }, (_, n) => scan({ id: `later-${n}` })));
      const rows = page.getByRole("list", { name: "Deliveries" }).getByRole("listitem");
      await rows.nth(126).waitFor();
      const links = await rows
        .getByRole("link")
        .evaluateAll((all) => all.map((link) => link.getAttribute("href")));
      expect(new Set(links).size).toBe(127);
      expect(links).toHaveLength(127);
      // More than a page at once: all of it is there, or can be asked for.
      await later.send(...Array.from({ length: 80 }, (_, n) => scan({ id: `last-${n}` })));
      later.close();
      await until("all have arrived", () => receiver.received.length === 207);
      await rows.nth(206).or(older).waitFor();
      await page.reload();
      await expectRows("Deliveries", 25, 50, 75, 100, 125, 150, 175, 200, 207);
      expect(faults).toEqual([]);
    },
    BROWSER_TIMEOUT_MS,
  );

  test(
    "are usable without a mouse",
    async () => {
      const daemon = await startBinary();
      const receiver = receive();
      await register(daemon, receiver.url);
      const { page, faults } = await openPage(browser, daemon);
      await page.goto(`${daemon.url}/dashboard`);
      await tabTo(page, "API key");
      await page.keyboard.type(await makeKey(daemon));
      await page.keyboard.press("Enter");
      await page.getByRole("link", { name: "127.0.0.1" }).waitFor();
      await tabTo(page, new URL(receiver.url).host);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "127.0.0.1" }).waitFor();
      await tabTo(page, "Test");
      await page.keyboard.press("Enter");
      await page.getByText("The receiver answered 200").waitFor();
      await tabTo(page, "Delete");
      await page.keyboard.press("Enter");
      await page.getByRole("alertdialog").waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("alertdialog").waitFor({ state: "detached" });
      expect(faults).toEqual([]);
    },
    BROWSER_TIMEOUT_MS,
  );

  test(
    "say so when there is nothing at an address",
    async () => {
      const daemon = await startBinary();
      const { page } = await signIn(browser, daemon);
      for (const path of ["webhooks", "deliveries", "events"]) {
        await page.goto(`${daemon.url}/dashboard/${path}/019bc0f6-5c00-7000-9d3a-52c8f1d7a460`);
        await page.getByRole("heading", { name: "Not found" }).waitFor();
      }
      await check(page, "not-found");
    },
    BROWSER_TIMEOUT_MS,
  );
});

/** Presses Tab until what has the focus is called so. */
async function tabTo(page: Page, name: string): Promise<void> {
  const MAX = 60;
  for (let press = 0; press < MAX; press++) {
    await page.keyboard.press("Tab");
    const focused = page.locator(":focus");
    if ((await focused.count()) === 0) continue;
    const called = await focused.evaluate((element) => {
      const { labels, textContent } = element as unknown as {
        labels?: Iterable<{ textContent: string }>;
        textContent: string;
      };
      return [...(labels ?? [])].map((label) => label.textContent).join() || textContent;
    });
    if (called.trim() === name) return;
  }
  throw new Error(`nothing called "${name}" is reached with Tab`);
}

async function check(page: Page, name: string): Promise<void> {
  await picture(page, name);
  // Through the debugger's evaluation, which the page's policy does not govern.
  await page.evaluate(axe.source);
  const found = await page.evaluate(() =>
    (globalThis as unknown as { axe: typeof axe }).axe.run({ resultTypes: ["violations"] }),
  );
  const grave = found.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  expect(grave, name).toEqual([]);
  const width = "document.documentElement.scrollWidth - innerWidth";
  expect(await page.evaluate(width), `${name} scrolls sideways`).toBeLessThanOrEqual(0);
  expect(await page.evaluate("globalThis.ran"), `${name} ran what is text`).toBeUndefined();
  expect(await page.locator(".starting").count(), `${name} has what stood there before it`).toBe(0);
  expect(await page.locator("img, script:not([src])").count(), `${name} has markup`).toBe(0);
}

/** Webhooks in every state, with names, events, signals and answers of people who mean harm. */
async function fill(daemon: RunningDaemon) {
  const fails = receive(() => new Response(MARKUP, { status: 500 }));
  const busy = receive(() => new Response("later", { status: 429, headers: { "retry-after": "3600" } }));
  const gone = receive(() => new Response(null, { status: 410 }));
  const off = await register(daemon, "https://hooks.example.com/services/off");
  await daemon.api("PATCH", `/v1/webhooks/${off.id}`, { enabled: false, name: "last year's" });
  const names = { "security on call": receive(), archive: busy, "old pager": gone, [MARKUP]: fails };
  const made: Record<string, { id: string }> = {};
  for (const [name, { url }] of Object.entries(names)) {
    made[name] = await register(daemon, url);
    await daemon.api("PATCH", `/v1/webhooks/${made[name].id}`, { name });
  }
  const scanner = await connectScanner(daemon.socket);
  atEnd(() => scanner.close());
  const signals = [
    { domain: MARKUP, type: `<svg onload=alert(1)>${"w".repeat(80)}`, confidence: 1, weight: 50 },
  ];
  await scanner.send(scan({ id: MARKUP.slice(0, 128), signals }));
  for (let index = 0; index < 12; index++) {
    const tier = ["red", "yellow", "green"][index % 3];
    await scanner.send(scan({ id: `scan-${index}`, tier, risk_score: 20 + index }));
  }
  const failing = made[MARKUP]?.id ?? "";
  await until("every state is reached", async () => {
    const { webhooks } = (await daemon.api("GET", "/v1/webhooks")).body;
    const all = await deliveriesOf(daemon, failing);
    return (
      webhooks.some((one: { disabled_reason?: string }) => one.disabled_reason === "gone") &&
      all.some(({ last_status }) => last_status === 500)
    );
  });
  const [delivery] = (await deliveriesOf(daemon, failing)).filter(({ last_status }) => last_status === 500);
  return {
    overview: { path: "/dashboard", wait: "need attention" },
    webhook: { path: `/dashboard/webhooks/${failing}`, wait: "Failing" },
    waiting: { path: `/dashboard/webhooks/${made.archive?.id}`, wait: "asked to wait" },
    delivery: { path: `/dashboard/deliveries/${delivery.id}`, wait: "HTTP 500" },
    events: { path: "/dashboard/events", wait: "scan-11" },
    event: { path: `/dashboard/events/${delivery.event_id}`, wait: "What became of it" },
    new: { path: "/dashboard/new", wait: "Create" },
  };
}
